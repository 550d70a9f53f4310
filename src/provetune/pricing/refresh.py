"""Prices of today, on request: through gpuhunt, or from catalogues in SkyPilot's format. Kept in the user's cache with their date."""

from __future__ import annotations

import csv
import io
import math
import os
import re
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import astuple
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from provetune.errors import DataError, SpecError
from provetune.pricing import COLUMNS, USD_PER_GPU_HOUR, Price, cache_file

MOST_BYTES = 50_000_000
SECONDS = 30
GPUHUNT = "https://github.com/dstackai/gpuhunt"
HOSTS = {
    "A100": "a2-highgpu-{n}g",
    "A100-80GB": "a2-ultragpu-{n}g",
    "H100": "a3-highgpu-{n}g",
    "T4": "n1-standard-8",
    "V100": "n1-standard-8",
}
"""Machines that the accelerators of Google's catalogue are attached to; T4 and V100 are offered one at a time here."""


def refresh(catalogues: Iterable[str], today: date) -> tuple[Path, int, int]:
    """(file, prices kept, rows refused). Of each provider, GPU, number and tier the cheapest region is kept.

    Without catalogues gpuhunt is asked. Raises SpecError where it is not installed, DataError where nothing usable came;
    the prices of before then stay.
    """
    named = list(catalogues)
    found = (
        [price for one in named for price in from_skypilot(_fetched(one), _provider(one), one, today)] if named else _from_gpuhunt(today)
    )
    good = [price for price in found if plausible(price)]
    if not good:
        raise DataError(f"{', '.join(named) or 'gpuhunt'}: found no usable price ({len(found)} refused); the prices of before stay")
    cheapest: dict[tuple[str, str, float, int, str], Price] = {}
    for price in good:
        key = (price.provider, price.gpu, price.mem_gb, price.count, price.tier)
        if key not in cheapest or price.usd_per_hour < cheapest[key].usd_per_hour:
            cheapest[key] = price
    file = cache_file()
    _write(file, cheapest.values())
    return file, len(cheapest), len(found) - len(good)


def plausible(price: Price) -> bool:
    """Whether units and amount can be right: 0.05 to 20 $ for one GPU an hour, at least one GPU, some memory."""
    low, high = USD_PER_GPU_HOUR
    return price.count >= 1 and 1 <= price.mem_gb <= 1000 and low <= price.usd_per_hour / price.count <= high


def from_skypilot(text: str, provider: str, source: str, today: date) -> list[Price]:
    """Prices from a catalogue of SkyPilot's; columns are found by name. Rows without a GPU are hosts.

    Google lists accelerators without their host: both are added where the host is in the catalogue too, and left out where not. An
    on-demand price in the spot column, or an empty one, says that there is no spot offer.
    """
    rows = list(csv.DictReader(io.StringIO(text)))
    if not rows or not {"InstanceType", "AcceleratorName", "AcceleratorCount", "Price"} <= set(rows[0]):
        raise DataError(f"{source}:1: found no catalogue of SkyPilot's; wanted InstanceType, AcceleratorName, AcceleratorCount and Price")
    hosts = {(row["InstanceType"], row.get("Region", "")): row for row in rows if not row["AcceleratorName"]}
    found: list[Price] = []
    for row in rows:
        count = _number(row["AcceleratorCount"])
        if not row["AcceleratorName"] or count < 1:
            continue
        host: Mapping[str, str] = {}
        sku = row["InstanceType"]
        if not sku:
            sku = HOSTS.get(row["AcceleratorName"], "").format(n=int(count))
            host = hosts.get((sku, row.get("Region", "")), {})
            if not host or (sku.startswith("n1") and count > 1):
                continue
        mem_gb = _memory_gb(row.get("GpuInfo", ""), row["AcceleratorName"])
        usual = _number(row["Price"]) + (_number(host["Price"]) if host else 0.0)
        spot = _number(row.get("SpotPrice", "")) + (_number(host.get("SpotPrice", "")) if host else 0.0)
        for tier, usd in (("on-demand", usual), ("spot", spot if spot < usual else math.nan)):
            if usd == usd:
                found.append(
                    Price(provider, sku, row["AcceleratorName"], mem_gb, int(count), usd, row.get("Region", ""), tier, str(today), source)
                )
    return found


def _memory_gb(described: str, name: str) -> float:
    """Gigabytes (10^9) of one GPU: catalogues say MiB of one, some gigabytes under that name; else the number in its name."""
    size = re.search(r"['\"]SizeInMiB['\"]:\s*([\d.]+)", described)
    if size is not None:
        given = float(size[1])
        return given if given < 1024 else round(given / 1024)
    in_name = re.search(r"(\d+)GB", name)
    return float(in_name[1]) if in_name is not None else math.nan


def _number(text: str | None) -> float:
    try:
        return float(text) if text else math.nan
    except ValueError:
        return math.nan


def from_gpuhunt(items: Iterable[Any], today: date) -> list[Price]:
    """Prices from gpuhunt's `CatalogItem`s; its prices are for whole instances, its memory is gigabytes of one GPU."""
    return [
        Price(
            provider={"lambdalabs": "lambda", "vastai": "vast"}.get(item.provider, item.provider),
            sku=item.instance_name,
            gpu=item.gpu_name or "",
            mem_gb=float(item.gpu_memory or math.nan),
            count=int(item.gpu_count),
            usd_per_hour=float(item.price),
            region=item.location,
            tier="spot" if item.spot else "on-demand",
            as_of=str(today),
            source_url=GPUHUNT,
        )
        for item in items
        if item.gpu_count
    ]


def _from_gpuhunt(today: date) -> list[Price]:
    try:
        import gpuhunt
    except ImportError as error:
        raise SpecError(
            "gpuhunt is not installed. Run `pip install 'provetune[prices]'`, or name a catalogue of SkyPilot's with --catalog FILE"
        ) from error
    try:
        return from_gpuhunt(gpuhunt.query(min_gpu_count=1), today)
    except (OSError, ValueError, KeyError) as error:  # network failures of requests and urllib are OSErrors
        raise DataError(f"gpuhunt could not fetch prices ({type(error).__name__}: {error}); the prices of before stay") from error


def _fetched(place: str) -> str:
    """Text of a file, of https, or of this machine's own http."""
    parts = urlsplit(place)
    if parts.scheme not in ("http", "https"):
        try:
            return Path(place).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"--catalog: {place} cannot be read ({error})") from error
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise SpecError(f"--catalog: found {place}, wanted https")
    if os.environ.get("HF_HUB_OFFLINE") and parts.scheme == "https":
        raise SpecError("--catalog: nothing is fetched with --offline; name a file")
    try:
        with urllib.request.urlopen(place, timeout=SECONDS) as answer:
            content: bytes = answer.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise DataError(f"--catalog: {place} could not be fetched ({error}); the prices of before stay") from error
    if len(content) > MOST_BYTES:
        raise DataError(f"--catalog: {place} is larger than {MOST_BYTES // 10**6} MB; wanted a catalogue of prices")
    return content.decode("utf-8", errors="replace")


def _provider(place: str) -> str:
    """The folder that a catalogue lies in, as SkyPilot has it (`catalogs/v8/aws/vms.csv`); else its name."""
    parts = [part for part in re.split(r"[\\/]", urlsplit(place).path) if part]
    name = parts[-2] if len(parts) > 1 and parts[-1] == "vms.csv" else Path(parts[-1]).stem
    return name.lower()


def _write(file: Path, prices: Iterable[Price]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(astuple(price) for price in prices)
    partial = file.with_suffix(".partial")
    partial.write_text(text.getvalue(), encoding="utf-8")
    partial.replace(file)
