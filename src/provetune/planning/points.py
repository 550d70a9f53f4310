"""Published measurements as jobs: each row of a points file is read, checked, and left out with a reason where it cannot be scored."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from provetune.errors import DataError, ModelError
from provetune.models.shapes import read_config, shape_sizes
from provetune.planning.architectures import known_shape, shape_of_size
from provetune.planning.footprint import GIB, Counter, Job, stored_bytes
from provetune.planning.gpus import Gpu, of_row
from provetune.planning.request import ModelShape
from provetune.planning.stacks import Unscorable, counter_of, job_of, number

NEEDED = ("id", "model", "method")
"""Columns without which a file is none of this kind; every other one may lack."""
OUT_OF_MEMORY = re.compile(r"\s*(cuda )?(oom|out[ -]of[ -]memory)", re.IGNORECASE)
COUNTED, NAMED = 0.15, 0.4
"""How far a row's number of parameters may be from the table's: as counted by a loader; as a name rounds it."""
P = TypeVar("P")


@dataclass(frozen=True)
class Point:
    """One published run: what was run, and what it needed. `measured_gib` is per GPU, None where it ran out of memory.

    `guessed`: whether the model's sizes are only those usual for its number of parameters.
    """

    id: str
    source: str
    job: Job
    counter: Counter
    measured_gib: float | None
    card_gib: float | None
    guessed: bool = False


@dataclass(frozen=True)
class TimedPoint:
    """One published run whose speed is known: tokens a second of all GPUs together."""

    id: str
    source: str
    job: Job
    gpu: Gpu
    tokens_per_s: float


@dataclass(frozen=True)
class LeftOutRow:
    """A row that is not scored, and why."""

    id: str
    reason: str


def read_points(file: Path) -> tuple[list[Point], list[LeftOutRow]]:
    """The rows of a file in the format of published measurements (docs/planning.md), and those that cannot be scored.

    Left out are rows without memory (times only), of quality C, without what the estimate needs, of models that are not known, and
    physically impossible ones. Raises DataError where the file cannot be read or lacks the needed columns.
    """
    return _read(file, _point)


def read_times(file: Path) -> tuple[list[TimedPoint], list[LeftOutRow]]:
    """The rows whose speed was measured on a GPU of the table, and the others. Raises as `read_points`."""
    return _read(file, _timed)


def _read(file: Path, made: Callable[[Mapping[str, str]], P]) -> tuple[list[P], list[LeftOutRow]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read as a text file ({error})") from error
    reader = csv.DictReader(io.StringIO(text))
    missing = [name for name in NEEDED if name not in (reader.fieldnames or ())]
    if missing:
        raise DataError(f"{file}:1: columns {', '.join(missing)} are missing; wanted a CSV of measured points, see docs/planning.md")
    points: list[P] = []
    left_out: list[LeftOutRow] = []
    for cells in reader:
        # None stands for cells that are missing, and as the name of those beyond the last column
        row = {key: (value or "").strip() for key, value in cells.items() if isinstance(key, str) and isinstance(value, str | None)}
        try:
            if row.get("quality", "").upper() == "C":
                raise Unscorable("quality C")
            points.append(made(row))
        except Unscorable as reason:
            left_out.append(LeftOutRow(row["id"], str(reason)))
    if not points and not left_out:
        raise DataError(f"{file}: found no rows; wanted measured points, one a line")
    return points, left_out


def _point(row: Mapping[str, str]) -> Point:
    measured = _measured(row)
    shape, guessed = _shape(row)
    job, card = job_of(row, shape), _card_gb(row)
    if measured is None and card is None:
        raise Unscorable("it ran out of memory on a GPU whose memory is not given")
    _refuse_impossible(job, measured, card)
    return Point(
        id=row["id"],
        source=_source(row),
        job=job,
        # what must fit on a card is what the device shows, whatever the tool of the run counts
        counter=counter_of(row.get("mem_kind", "")) if measured is not None else "device",
        measured_gib=measured,
        card_gib=None if card is None else card * 1e9 / GIB,
        guessed=guessed,
    )


def _timed(row: Mapping[str, str]) -> TimedPoint:
    speed, seconds, tokens = (number(row, name) for name in ("tokens_per_s_total", "sec_per_optim_step", "tokens_per_optim_step"))
    if speed is None and seconds and tokens:
        speed = tokens / seconds
    if not speed or speed <= 0:
        raise Unscorable("no speed was measured")
    gpu = of_row(row.get("gpu", ""), number(row, "gpu_mem_gb"))
    if gpu is None:
        raise Unscorable(f"the GPU {row.get('gpu', '')!r} is not in the table")
    return TimedPoint(row["id"], _source(row), job_of(row, _shape(row)[0]), gpu, speed)


def _source(row: Mapping[str, str]) -> str:
    return row.get("source_repo") or row.get("source") or row["id"].partition("-")[0]


def _card_gb(row: Mapping[str, str]) -> float | None:
    """Gigabytes of the card: as given, else those of a kind that there is in one size only."""
    given = number(row, "gpu_mem_gb")
    found = of_row(row.get("gpu", ""), None) if given is None else None
    return given if found is None else found.mem_gb


def _measured(row: Mapping[str, str]) -> float | None:
    """GiB on one GPU; None where the run went out of memory. The normalised column wins over the printed figure."""
    if OUT_OF_MEMORY.match(row.get("mem_reported", "")):
        return None
    normalised = number(row, "mem_gib_per_gpu")
    if normalised is None:
        printed = number(row, "mem_reported")
        if printed is None:
            raise Unscorable("no memory was measured")
        units = {"gb": 1e9 / GIB, "mb": 1e6 / GIB, "mib": 1 / 1024}
        normalised = printed * units.get(row.get("mem_unit", "").lower(), 1.0)
        if row.get("mem_scope", "").lower().startswith(("sum", "total", "all")):
            normalised /= max(1.0, number(row, "n_gpus") or 1.0)
    if not 0 < normalised < math.inf:
        raise Unscorable(f"the memory is {normalised:g} GiB")
    return normalised


def _refuse_impossible(job: Job, measured: float | None, card: float | None) -> None:
    """Less than the weights and what is trained must take, or more than the card has."""
    if measured is None:
        return
    split = job.gpus if job.sharding in ("zero3", "fsdp") else 1
    away = "parameters" in job.offload
    frozen = 0.0 if job.method == "full" or away else stored_bytes(job.shape, job.base, job.other) / split
    states = 0.0 if job.paged or "optimizer" in job.offload else job.states / (job.gpus if job.sharding != "none" else 1)
    gradient = 0.0 if job.optimizer_in_backward or away else job.gradient / (job.gpus if job.sharding != "none" else 1)
    floor = (frozen + job.trained * ((0 if away else job.weight / split) + gradient + states)) / GIB
    if measured < 0.9 * floor:
        raise Unscorable(f"impossible: {measured:.1f} GiB were measured, the weights and what is trained alone take {floor:.1f} GiB")
    if card is not None and measured > 1.1 * card:
        raise Unscorable(f"impossible: {measured:.1f} GiB were measured on a GPU of {card:g} GB")


def _shape(row: Mapping[str, str]) -> tuple[ModelShape, bool]:
    """Sizes of the model, and whether they are guessed from its number of parameters, as no table knows it."""
    given = number(row, "params_b")
    if row.get("config"):
        try:
            shape = ModelShape(**shape_sizes(read_config(Path(row["config"])), row["config"]))
        except ModelError as error:
            raise Unscorable(str(error)) from error
    else:
        found = known_shape(row["model"])
        if found is None and given is not None and given > 0:
            return shape_of_size(given * 1e9, row["model"]), True
        if found is None:
            raise Unscorable(
                f"the model {row['model']!r} is not known; add a column `config` with the folder of its config.json, or `params_b`"
            )
        shape = found[0]
    if given is None:
        return shape, False
    # some loaders keep a head of its own beside a tied embedding; names count roughly, without embeddings or rounded
    untied = replace(shape, tied=False)
    close = min((shape, untied), key=lambda one: abs(one.parameters / 1e9 - given))
    off = abs(close.parameters / 1e9 / given - 1) if given > 0 else math.inf
    if off > NAMED:
        raise Unscorable(f"{row['model']} is known with {shape.parameters / 1e9:.2f} billion parameters, the row says {given:g}")
    return (close if off <= COUNTED else shape), False
