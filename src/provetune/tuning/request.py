"""What a training is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from provetune.protocols import Progress, TuningTokenizer
from provetune.records.candidate import Candidate, Method, ModelRef
from provetune.records.data import Example
from provetune.scoring import Yardstick
from provetune.tuning.forgetting import BesideTexts
from provetune.tuning.live import Event
from provetune.tuning.state import TIME_LIMIT

Hyperparameters = dict[str, float | int | str]


@dataclass(frozen=True)
class TuneRequest:
    """Everything a training needs. `template` is the candidate to be, without weights; `metric` decides on validation.

    `checkpoints` is this training's own folder; the tuned weights are written to `out` whole or not at all. `event` is told how
    it goes, and so are `trackers`, by name. `limit` says what ends the training after `max_seconds`; `beside` is trained on beside the
    rows, with full weights and a pull beside a second copy of the base; `start` holds tuned weights that training goes on from. A
    step is cut into at least `packs` packs where its rows allow it: as many as ranks are planned.
    """

    method: Method
    base_folder: Path
    model: ModelRef
    tokenizer: TuningTokenizer
    template: Candidate
    train: Sequence[Example]
    validation: Sequence[Example]
    yardstick: Yardstick
    metric: str
    hyperparameters: Hyperparameters
    seed: int
    checkpoints: Path
    out: Path
    max_seconds: float
    environment: dict[str, str]
    progress: Progress
    limit: str = TIME_LIMIT
    event: Event = lambda kind, **values: None
    usd_per_hour: float | None = None
    trackers: Sequence[str] = ()
    beside: BesideTexts | None = None
    start: Path | None = None
    packs: int = 1
