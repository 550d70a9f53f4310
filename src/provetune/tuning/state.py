"""What the training loop is told, and what it remembers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from provetune.tuning.forgetting import Beside
from provetune.tuning.ranks import Ranks

TIME_LIMIT = "time limit"
ASKED = "somebody asked for it"
"""What stops a training whose best weights go on to the verdict: a budget that is used up, or the wish of a person."""


@dataclass(frozen=True)
class LoopSettings:
    """Everything that decides the weights, besides the rows and the start weights.

    A step is cut into `packs` or more where its rows allow it, so that as many ranks have something to do.
    """

    learning_rate: float
    epochs: int
    rows_per_step: int
    max_tokens: int = 1024
    packed: bool = True
    warmup_share: float = 0.05
    decay_share: float = 1.0
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.99)
    max_grad_norm: float = 1.0
    evaluations_per_epoch: int = 1
    patience: int = 0
    precision: Literal["bf16", "no"] = "no"
    seed: int = 0
    optimizer: Literal["adamw", "adafactor"] = "adamw"
    plus: float = 1.0
    neftune: float = 0.0
    packs: int = 1


@dataclass(frozen=True)
class ValidationPoint:
    """What one look at the validation split gave: `score` decides (higher is better), then `loss`."""

    step: int
    loss: float
    score: float


@dataclass
class LoopState:
    """Counters and history; saved with each checkpoint. `halved` holds (step, tokens a pack from there on) where memory ran out."""

    step: int = 0
    tokens: int = 0
    labelled_tokens: int = 0
    seconds: float = 0.0
    validation_seconds: float = 0.0
    losses: list[tuple[int, float, float]] = field(default_factory=list)
    validation: list[ValidationPoint] = field(default_factory=list)
    stopped_because: str | None = None
    resumed: int = 0
    halved: list[tuple[int, int]] = field(default_factory=list)

    @classmethod
    def load(cls, saved: dict[str, Any]) -> LoopState:
        """Back from a checkpoint's JSON."""
        points = [ValidationPoint(**point) for point in saved.pop("validation")]
        losses = [(int(a), float(b), float(c)) for a, b, c in saved.pop("losses")]
        halved = [(int(a), int(b)) for a, b in saved.pop("halved")]
        return cls(**saved, validation=points, losses=losses, halved=halved)

    def best(self) -> ValidationPoint | None:
        """Highest score, then lowest loss, then earliest."""
        return min(self.validation, key=lambda p: (-p.score, p.loss, p.step), default=None)


@dataclass(frozen=True)
class Hooks:
    """What the caller adds: a look at validation, progress, how often to save (seconds), and after how many to stop for which limit.

    `beside` is trained on beside the rows, `ranks` are those that train together. `asked_to_stop` is looked at after each step.
    """

    validate: Callable[[Any, int], ValidationPoint]
    progress: Callable[[LoopState, int], None] = lambda state, total: None
    save_every_s: float = 30.0
    max_seconds: float = math.inf
    limit: str = TIME_LIMIT
    beside: Beside | None = None
    ranks: Ranks = Ranks()
    asked_to_stop: Callable[[], bool] = lambda: False


def learning_rate_at(step: int, total: int, settings: LoopSettings) -> float:
    """Linear warm-up, a plateau, then a cosine down to zero over the last `decay_share` of the steps."""
    warmup = max(1, round(settings.warmup_share * total))
    decay = max(1, min(total - warmup, round(settings.decay_share * total)))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    into = max(0, step - (total - decay)) / decay
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, into)))
