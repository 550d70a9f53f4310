"""Records of a search over values of training: every training of it, and what was chosen."""

from __future__ import annotations

from typing import ClassVar, Literal

from provetune.records.base import Frozen, Record
from provetune.records.candidate import GenerationSettings, Method

Values = dict[str, float | int | str]


class TrialJob(Frozen):
    """One training of a search as its process is told it: the folders of project and run, what is trained, and on which rows."""

    project: str
    run: str
    method: Method
    values: Values
    seed: int
    settings: GenerationSettings
    train_ids: tuple[str, ...]
    validation_ids: tuple[str, ...]


class TuningTrial(Frozen):
    """One training of a search: configuration `number` on the first `rows` training rows of the search's order.

    `score` is the deciding metric on all validation rows at the best step, `loss` the validation loss there (nats per labelled
    token); both None where the training failed or was left out, for the reason in `note`.
    """

    number: int
    rung: int
    rows: int
    seed: int
    values: Values
    state: Literal["done", "failed", "left out"]
    score: float | None = None
    loss: float | None = None
    tokens: int = 0
    seconds: float = 0.0
    note: str = ""


class TuningSearch(Record):
    """A search for the best values of one method, on validation alone.

    `space` is what was searched, `start` the plan's values, `winner` what is trained with. `spread` is the standard deviation of the
    score over seeds of the winner, where several were trained.
    """

    SCHEMA: ClassVar[str] = "tuning_search/1"
    method: Method
    metric: str
    seed: int
    space: dict[str, tuple[float | int | str, ...]]
    rung_rows: tuple[int, ...]
    trials: tuple[TuningTrial, ...]
    start: Values
    winner: Values
    winner_number: int
    spread: float | None = None
    tokens: int
    seconds: float
    stopped_because: str
