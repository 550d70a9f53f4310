"""The price table: what it holds, how it is read, what is refused."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import date
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from provetune.errors import DataError, SpecError
from provetune.pricing import (
    COLUMNS,
    LOCAL,
    PRICES,
    TokenPrice,
    as_of,
    cheapest,
    current_prices,
    is_stale,
    load_prices,
    staleness,
    usd_per_thousand,
)
from provetune.pricing.refresh import from_gpuhunt, from_skypilot, plausible, refresh

ROW = "aws,p3.2xlarge,V100,16,1,3.06,us-east-1,on-demand,2026-01-02,https://example.com"


def _read(folder: Path, *rows: str) -> tuple[float, ...]:
    path = folder / "contract.csv"
    path.write_text("\n".join([",".join(COLUMNS), *rows]) + "\n")
    return tuple(price.usd_per_hour for price in load_prices(path))


def test_table_is_small_and_every_row_has_a_source() -> None:
    assert 50 <= len(PRICES) <= 60
    assert all(price.source_url.startswith("https://") for price in PRICES)
    assert not any("accelerator only" in price.sku for price in PRICES)
    assert len({(price.provider, price.sku, price.tier) for price in PRICES}) == len(PRICES)
    assert all(plausible(price) for price in PRICES)


@pytest.mark.parametrize(
    ("sku", "tier", "usd_per_hour"),
    [("p3.2xlarge", "on-demand", 3.06), ("a2-highgpu-1g", "on-demand", 3.673385), ("a2-highgpu-1g", "spot", 1.293355)],
)
def test_published_prices(sku: str, tier: str, usd_per_hour: float) -> None:
    assert [price.usd_per_hour for price in PRICES if (price.sku, price.tier) == (sku, tier)] == [usd_per_hour]


def test_two_days_of_a_v100_cost_147_dollars() -> None:
    (v100,) = [price for price in PRICES if price.sku == "p3.2xlarge"]
    assert 48 * v100.usd_per_hour == pytest.approx(146.88)


def test_range_of_an_80_gb_a100_per_gpu() -> None:
    per_gpu = [p.usd_per_hour / p.count for p in PRICES if p.gpu.startswith("A100") and p.mem_gb == 80]
    assert min(per_gpu) == 1.19
    assert max(per_gpu) == pytest.approx(4.777)


@pytest.mark.parametrize("mem_gib", [0.0, 14, 30, 60, 80, 160])
def test_cheapest_holds_the_memory_on_one_gpu_and_is_sorted(mem_gib: float) -> None:
    found = cheapest(mem_gib)
    assert found and all(price.mem_gb * 1e9 / 2**30 >= mem_gib and price.tier != "spot" for price in found)
    assert [p.usd_per_hour for p in found] == sorted(p.usd_per_hour for p in found)
    left_out = [p for p in PRICES if p not in found and p.tier != "spot"]
    assert all(p.mem_gib < mem_gib for p in left_out)


def test_nothing_is_large_enough_for_everything() -> None:
    assert cheapest(1000) == []
    assert cheapest(16, []) == []


def test_dates_are_shown_with_the_undated_rows_counted() -> None:
    assert as_of(PRICES) == "2025-03-06 to 2026-11-16 (15 of 60 prices without a date)"
    assert as_of([p for p in PRICES if p.provider == "huggingface-jobs"]) == "date unknown"
    assert as_of([]) == "no prices"


def test_own_hardware_costs_nothing_and_says_so() -> None:
    assert (LOCAL.usd_per_hour, as_of([LOCAL])) == (0.0, "own hardware: no rental cost")


def test_contract_prices_are_read(tmp_path: Path) -> None:
    assert _read(tmp_path, ROW, ROW.replace("3.06", "2.5")) == (3.06, 2.5)


@pytest.mark.parametrize(
    ("old", "new"),
    [("3.06", "cheap"), ("3.06", "306"), ("3.06", "0.003"), ("3.06", "nan"), (",1,", ",0,"), (",16,", ",,"), (",16,", ",-16,")],
)
def test_implausible_rows_are_refused_with_their_line(tmp_path: Path, old: str, new: str) -> None:
    with pytest.raises(DataError, match=r"contract\.csv:3: "):
        _read(tmp_path, ROW, ROW.replace(old, new))


def test_missing_columns_and_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("provider,sku\n")
    with pytest.raises(DataError, match=r"a\.csv:1: columns as_of, count, gpu"):
        load_prices(tmp_path / "a.csv")
    with pytest.raises(DataError, match="cannot be read"):
        load_prices(tmp_path / "b.csv")


def test_dollars_of_tokens_by_hand() -> None:
    # 2.50 $ and 10 $ per million: 1,000 requests of 400 and 10 tokens cost 1.00 $ + 0.10 $
    assert 1000 * TokenPrice(2.5, 10.0)(400, 10) == pytest.approx(1.10)


def test_dollars_of_a_thousand_requests_have_an_interval() -> None:
    found = usd_per_thousand([0.001, 0.003] * 50)
    assert found.value == pytest.approx(2.0) and found.low is not None and found.high is not None
    # the mean of 100 with a standard deviation of 1: about 1.96 / 10 to each side
    assert found.high - found.low == pytest.approx(2 * 0.196, rel=0.15)
    assert usd_per_thousand([]).value is None
    assert usd_per_thousand([0.0] * 10).value == 0.0


TODAY = date(2026, 11, 28)
NEBIUS = """InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,Price,Region,GpuInfo,SpotPrice
cpu-d3_4vcpu-16gb,,0,4,16,0.0992,eu-north1,,
gpu-h100_1,H100,1,16,200,2.95,eu-north1,"{'Gpus': [{'Name': 'H100', 'MemoryInfo': {'SizeInMiB': 81920}}]}",1.25
gpu-h100_1,H100,1,16,200,2.75,eu-west1,"{'Gpus': [{'Name': 'H100', 'MemoryInfo': {'SizeInMiB': 81920}}]}",
gpu-h100_8,H100,8,128,1600,23.60,eu-north1,"{'Gpus': [{'Name': 'H100', 'MemoryInfo': {'SizeInMiB': 81920}}]}",10.00
gpu-typo,H100,1,16,200,2950,eu-north1,"{'Gpus': [{'Name': 'H100', 'MemoryInfo': {'SizeInMiB': 81920}}]}",
"""
GOOGLE = """InstanceType,vCPUs,MemoryGiB,AcceleratorName,AcceleratorCount,GpuInfo,Region,AvailabilityZone,Price,SpotPrice
a2-highgpu-1g,12.0,85.0,,,,us-central1,us-central1-a,0.73948,0.36975
,,,A100,1.0,"{'Gpus': [{'Name': 'A100', 'MemoryInfo': {'SizeInMiB': 40960}}]}",us-central1,us-central1-a,2.933908,0.92361
,,,A100,1.0,"{'Gpus': [{'Name': 'A100', 'MemoryInfo': {'SizeInMiB': 40960}}]}",europe-west4,europe-west4-a,2.9,0.9
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "provetune" / "prices.csv"


def test_prices_older_than_sixty_days_or_undated_are_stale() -> None:
    fresh, undated = ([p for p in PRICES if p.as_of == day][0] for day in ("2026-11-09", "unknown"))
    year_only = next(p for p in PRICES if p.as_of == "2026")
    assert [is_stale(p, TODAY) for p in (fresh, undated, year_only, LOCAL)] == [False, True, True, False]
    assert not is_stale(fresh, date(2027, 1, 8)) and is_stale(fresh, date(2027, 1, 9))
    assert staleness([fresh], TODAY) == "" and staleness([fresh, undated], TODAY).startswith("1 of 2 prices are stale: 1 without a date")


def test_a_skypilot_catalogue_from_a_server_is_validated_and_kept_with_todays_date(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "nebius").mkdir()
    (tmp_path / "nebius" / "vms.csv").write_text(NEBIUS)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=tmp_path))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        file, kept, refused = refresh([f"http://127.0.0.1:{server.server_port}/nebius/vms.csv"], TODAY)
    finally:
        server.shutdown()
        server.server_close()
    assert (file, kept, refused) == (cache, 4, 1)  # of two regions the cheaper; the price of 2,950 $ is refused
    found = {(p.provider, p.count, p.tier): (p.usd_per_hour, p.mem_gb) for p in current_prices()}
    assert found[("nebius", 1, "on-demand")] == (2.75, 80) and found[("nebius", 8, "spot")] == (10.0, 80)
    assert {p.as_of for p in current_prices()} == {"2026-11-28"}


def test_google_s_accelerators_are_offered_with_their_host_or_not_at_all() -> None:
    found = from_skypilot(GOOGLE, "gcp", "vms.csv", TODAY)
    assert [(p.sku, p.tier, round(p.usd_per_hour, 4)) for p in found] == [
        ("a2-highgpu-1g", "on-demand", 3.6734),  # what Google lists for the whole machine
        ("a2-highgpu-1g", "spot", 1.2934),
    ]


def test_a_gigabyte_figure_under_mebibytes_is_read_as_gigabytes() -> None:
    text = (
        "InstanceType,AcceleratorName,AcceleratorCount,Price,GpuInfo\nx,A100-80GB,1,1.5,\"{'Gpus': [{'MemoryInfo': {'SizeInMiB': 80}}]}\"\n"
    )
    assert from_skypilot(text, "runpod", "vms.csv", TODAY)[0].mem_gb == 80


@dataclass
class Item:
    """The fields of gpuhunt's CatalogItem (0.1.34) that are read."""

    provider: str
    instance_name: str
    location: str
    price: float
    gpu_count: int
    gpu_name: str | None
    gpu_memory: float | None
    spot: bool


def test_offers_of_gpuhunt_become_prices() -> None:
    items = [Item("lambdalabs", "gpu_1x_a10", "us", 1.29, 1, "A10", 24.0, False), Item("aws", "m5.large", "us", 0.1, 0, None, None, False)]
    (found,) = from_gpuhunt(items, TODAY)
    assert (found.provider, found.gpu, found.mem_gb, found.usd_per_hour, found.as_of) == ("lambda", "A10", 24.0, 1.29, "2026-11-28")
    assert plausible(found) and not plausible(from_gpuhunt([Item("x", "y", "z", 129.0, 1, "A10", 24.0, True)], TODAY)[0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n", "found no catalogue of SkyPilot's"),
        (NEBIUS.splitlines()[0] + "\n" + NEBIUS.splitlines()[-1], "found no usable price"),
    ],
)
def test_a_bad_catalogue_leaves_the_prices_as_they_were(cache: Path, tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "vms.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        refresh([str(tmp_path / "vms.csv")], TODAY)
    assert not cache.exists() and current_prices() == PRICES
    cache.parent.mkdir(parents=True)
    cache.write_text("damaged")
    assert current_prices() == PRICES


def test_only_https_is_fetched_from_elsewhere_and_nothing_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SpecError, match="wanted https"):
        refresh(["http://example.com/vms.csv"], TODAY)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SpecError, match="nothing is fetched with --offline"):
        refresh(["https://example.com/vms.csv"], TODAY)
