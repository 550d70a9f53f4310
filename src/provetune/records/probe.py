"""Records of a probe: a few real optimizer steps on the machine at hand, measured."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from provetune.records.base import Frozen, Record
from provetune.records.candidate import Method, ModelRef


class ProbeTaken(Frozen):
    """What the process of a probe hands back: memory as in `Probe`, and the (wall, CPU) clock in seconds after each optimizer step."""

    idle_gib: float
    peak_gib: float
    anonymous_idle_gib: float | None
    anonymous_peak_gib: float | None
    reserved_gib: float | None
    wall_seconds: float
    marks: tuple[tuple[float, float], ...]
    measured_choices: dict[str, str | int | float | bool]


class ProbeStep(Frozen):
    """One optimizer step: its rows and their tokens, how many packs (micro-steps) they made and the tokens of the largest.

    `seconds` and `cpu_seconds` (all threads) are None for the first step, which warms up, and the last, which also looks at validation.
    """

    rows: int
    tokens: int
    packs: int
    largest_pack: int
    seconds: float | None = None
    cpu_seconds: float | None = None


class Probe(Record):
    """What a few steps of a training took. Memory in GiB: `idle` with all libraries and rows and no model, `peak` at most after that.

    On a CPU they are of the process: resident pages, and `anonymous` ones without those of files; with a GPU they are what was allocated
    there, and `reserved`. The second step is the one with the largest pack of the whole training.
    """

    SCHEMA: ClassVar[str] = "probe/1"
    method: Method
    model: ModelRef
    machine: str
    values: dict[str, float | int | str]
    steps: tuple[ProbeStep, ...]
    idle_gib: float
    peak_gib: float
    anonymous_idle_gib: float | None = None
    anonymous_peak_gib: float | None = None
    reserved_gib: float | None = None
    wall_seconds: float
    measured_choices: dict[str, str | int | float | bool] = Field(default_factory=dict)

    @property
    def timed(self) -> tuple[ProbeStep, ...]:
        """The steps that were timed."""
        return tuple(step for step in self.steps if step.seconds is not None)

    @property
    def tokens_per_s(self) -> float:
        """Tokens of rows in a second, over all timed steps but the one with the largest pack where there are others."""
        return _rate(self.timed, [step.seconds for step in self.timed])

    @property
    def tokens_per_cpu_s(self) -> float:
        """The same for a second of all threads together: other work on the machine moves it little."""
        return _rate(self.timed, [step.cpu_seconds for step in self.timed])


def _rate(steps: tuple[ProbeStep, ...], seconds: list[float | None]) -> float:
    pairs = list(zip(steps, seconds, strict=True))
    usual = pairs[1:] or pairs  # the first timed one is the worst step
    return sum(step.tokens for step, _ in usual) / max(sum(taken or 0.0 for _, taken in usual), 1e-9)
