"""GPUs: memory, speed, bandwidth, from the makers' data sheets (dense 16-bit products with 32-bit sums)."""

from __future__ import annotations

import csv
import difflib
import io
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from provetune.errors import SpecError
from provetune.pricing import Price


@dataclass(frozen=True)
class Gpu:
    """One kind: `mem_gb` in 10^9 bytes, `flops_per_s` of dense bfloat16 (float16 where it has none), bytes a second."""

    name: str
    family: str
    mem_gb: float
    flops_per_s: float
    bytes_per_s: float
    bf16: bool

    @property
    def mem_gib(self) -> float:
        """Memory in GiB."""
        return self.mem_gb * 1e9 / 2**30

    def offered_by(self, price: Price) -> bool:
        """Whether a price is for this kind; forms of one chip (SXM, PCIe) are told apart by memory only."""
        return _family(price.gpu) == self.family.lower() and abs(price.mem_gb / self.mem_gb - 1) < 0.07


@cache
def gpus() -> tuple[Gpu, ...]:
    """The table, in its order."""
    text = files("provetune.planning").joinpath("gpus.csv").read_text(encoding="utf-8")
    return tuple(
        Gpu(
            name=row["name"],
            family=row["family"],
            mem_gb=float(row["mem_gb"]),
            flops_per_s=1e12 * float(row["bf16_tflops"]),
            bytes_per_s=1e9 * float(row["bandwidth_gb_s"]),
            bf16=row["bf16"] == "yes",
        )
        for row in csv.DictReader(io.StringIO(text))
    )


def named(name: str) -> tuple[Gpu, ...]:
    """The kinds that a user means: a whole name, or a family (`A100`). SpecError on one that is not in the table.

    >>> [gpu.name for gpu in named("a100")]
    ['A100-40GB', 'A100-80GB']
    """
    wanted = re.sub(r"[\s_-]", "", name.lower()).removesuffix("gb")
    found = [gpu for gpu in gpus() if wanted in (gpu.family.lower(), gpu.name.lower().replace("-", "").removesuffix("gb"))]
    if not found:
        known = [gpu.name for gpu in gpus()]
        near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.3)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise SpecError(f"--gpu: {name!r} is not in the table{hint} Known are {', '.join(known)}")
    return tuple(found)


def of_row(name: str, mem_gb: float | None) -> Gpu | None:
    """The kind that somebody calls `name` and says to have this memory; None where the table has none, or several and no memory is given.

    >>> of_row("NVIDIA A100-SXM4-80GB", 85.2).name, of_row("a100_40gb", 40).name, of_row("NVIDIA H100 80GB HBM3", 85.5).name
    ('A100-80GB', 'A100-40GB', 'H100-80GB')
    >>> of_row("RTX 4090", None).name, of_row("A100", None), of_row("NVIDIA GeForce GTX 1080", 8)
    ('RTX4090-24GB', None, None)
    """
    plain = re.sub(r"[^a-z0-9]", "", name.lower()).removeprefix("nvidia").removeprefix("geforce")
    words = {plain, *re.split(r"[^a-z0-9]+", name.lower())}
    same = [one for one in gpus() if one.family.lower() in words or plain == re.sub(r"[^a-z0-9]", "", one.name.lower())]
    if mem_gb is None:
        return same[0] if len(same) == 1 else None
    # labels and drivers differ by a tenth, as one counts in powers of ten
    alike = [one for one in same if 0.88 < mem_gb / one.mem_gb < 1.12]
    return min(alike, key=lambda one: abs(mem_gb / one.mem_gb - 1), default=None)


@cache
def _family(gpu: str) -> str:
    """The chip's name in a price list.

    >>> _family("A100 SXM"), _family("NVIDIA RTX 4090"), _family("H100-80GB-SXM")
    ('a100', 'rtx4090', 'h100')
    """
    text = re.sub(r"\b(nvidia|geforce|tesla|amd|instinct|quadro)\b", "", gpu.lower())
    text = re.sub(r"[\s_-]*(sxm\d?|pcie?|nvl|hgx|oam|\d+\s*gb)\b", "", text)
    return re.sub(r"[\s_-]", "", text).removeprefix("rtxa") if "rtxa" in text.replace(" ", "") else re.sub(r"[\s_-]", "", text)
