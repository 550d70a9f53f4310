"""The training loop: small, on accelerate, the same for full tuning, LoRA and the starter model.

What it guarantees: every row once per epoch in an order that is a function of (seed, epoch); the loss of
an optimizer step is the mean over all labelled tokens of that step, however it is cut into packs; a run
that is killed and resumed from its newest checkpoint ends with the same weights, bit for bit (same
machine, versions, thread count and precision).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Literal

import torch
from accelerate import Accelerator

from provetune.chat import TokenRow
from provetune.engine.attention import ATTENTION_NAME
from provetune.engine.forward import attention, pack_loss
from provetune.engine.packing import PackSettings, pack_rows, plan_epoch
from provetune.engine.padded import padded_loss
from provetune.errors import TrainingDiverged
from provetune.tuning.checkpoint import CheckpointFolder, Tensors

TIME_LIMIT = "time limit"


@dataclass(frozen=True)
class LoopSettings:
    """Everything that decides the weights, besides the rows and the start weights."""

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


@dataclass(frozen=True)
class ValidationPoint:
    """What one look at the validation split gave: `score` decides (higher is better), then `loss`."""

    step: int
    loss: float
    score: float


@dataclass
class LoopState:
    """Counters and history; saved with each checkpoint."""

    step: int = 0
    tokens: int = 0
    labelled_tokens: int = 0
    seconds: float = 0.0
    validation_seconds: float = 0.0
    losses: list[tuple[int, float, float]] = field(default_factory=list)
    validation: list[ValidationPoint] = field(default_factory=list)
    stopped_because: str | None = None

    @classmethod
    def load(cls, saved: dict[str, Any]) -> LoopState:
        """Back from a checkpoint's JSON."""
        points = [ValidationPoint(**point) for point in saved.pop("validation")]
        losses = [(int(a), float(b), float(c)) for a, b, c in saved.pop("losses")]
        return cls(**saved, validation=points, losses=losses)

    def best(self) -> ValidationPoint | None:
        """Highest score, then lowest loss, then earliest."""
        return min(self.validation, key=lambda p: (-p.score, p.loss, p.step), default=None)


@dataclass(frozen=True)
class Hooks:
    """What the caller adds: a look at validation, progress, and how often to save (seconds)."""

    validate: Callable[[Any, int], ValidationPoint]
    progress: Callable[[LoopState, int], None] = lambda state, total: None
    save_every_s: float = 30.0
    max_seconds: float = math.inf


def learning_rate_at(step: int, total: int, settings: LoopSettings) -> float:
    """Linear warm-up, a plateau, then a cosine down to zero over the last `decay_share` of the steps."""
    warmup = max(1, round(settings.warmup_share * total))
    decay = max(1, min(total - warmup, round(settings.decay_share * total)))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    into = max(0, step - (total - decay)) / decay
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, into)))


class Trainer:
    """One run of the loop over one model; `run()` starts or resumes it and returns its final state."""

    def __init__(self, model: Any, rows: Sequence[TokenRow], settings: LoopSettings, folder: CheckpointFolder, hooks: Hooks) -> None:
        self.rows, self.settings, self.folder, self.hooks = rows, settings, folder, hooks
        self.accelerator = Accelerator(mixed_precision=settings.precision, cpu=not torch.cuda.is_available())
        self.loss = pack_loss if settings.packed else padded_loss
        self.attention = partial(attention, model, ATTENTION_NAME) if settings.packed else nullcontext
        self.trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
        matrices = [p for p in self.trainable.values() if p.ndim >= 2]
        vectors = [p for p in self.trainable.values() if p.ndim < 2]
        groups = [
            {"params": matrices, "weight_decay": settings.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=settings.betas, eps=1e-8, fused=True)
        model, self.optimizer = self.accelerator.prepare(model, optimizer)
        # accelerate puts its autocast around `forward` for good; here it is on in training steps only
        self.model = self.accelerator.unwrap_model(model, keep_fp32_wrapper=False)
        self.steps_per_epoch = math.ceil(len(rows) / settings.rows_per_step)
        self.total_steps = self.steps_per_epoch * settings.epochs
        self.evaluate_at = {
            epoch * self.steps_per_epoch + round(self.steps_per_epoch * part / settings.evaluations_per_epoch)
            for epoch in range(settings.epochs)
            for part in range(1, settings.evaluations_per_epoch + 1)
        }
        self.state = LoopState()
        self.best_weights: Tensors = {}

    def run(self) -> LoopState:
        """Train to the end, to early stop or to the time limit; leaves the best weights in the model."""
        self._resume()
        saved_at = time.monotonic()
        while self.state.step < self.total_steps and self.state.stopped_because is None:
            epoch, offset = divmod(self.state.step, self.steps_per_epoch)
            plan = plan_epoch(len(self.rows), self.settings.rows_per_step, self.settings.seed, epoch)
            for numbers in plan[offset:]:
                self._optimizer_step(numbers)
                evaluated = self.state.step in self.evaluate_at
                if evaluated:
                    self._evaluate()
                if evaluated or time.monotonic() - saved_at > self.hooks.save_every_s:
                    self._save()
                    saved_at = time.monotonic()
                self.hooks.progress(self.state, self.total_steps)
                if self.state.stopped_because is not None:
                    break
        if self.state.stopped_because == TIME_LIMIT and self.state.step not in {point.step for point in self.state.validation}:
            self._evaluate()  # what is kept has always been looked at
            self._save()
        with torch.no_grad():
            for name, value in self.best_weights.items():
                self.trainable[name].copy_(value)
        return self.state

    def _optimizer_step(self, numbers: list[int]) -> None:
        started = time.monotonic()
        state, settings = self.state, self.settings
        torch.manual_seed(settings.seed * 1_000_003 + state.step)
        rate = learning_rate_at(state.step, self.total_steps, settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        rows = [self.rows[number] for number in numbers]
        labels = sum(row.label_count for row in rows)
        total = 0.0
        self.model.train()
        for pack in pack_rows(self.rows, numbers, PackSettings(settings.max_tokens, share=settings.packed)):
            with self.attention():  # a checkpointed layer runs again in the backward pass
                with self.accelerator.autocast():
                    loss = self.loss(self.model, self.rows, pack, labels)
                self.accelerator.backward(loss)
            total += float(loss.detach())
        norm = float(self.accelerator.clip_grad_norm_(self.trainable.values(), settings.max_grad_norm))
        if not (math.isfinite(total) and math.isfinite(norm)):
            raise TrainingDiverged(f"step {state.step}: loss {total}, gradient norm {norm} at learning rate {rate:.2g}")
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        state.step += 1
        state.tokens += sum(len(row) for row in rows)
        state.labelled_tokens += labels
        state.losses.append((state.step, total, norm))
        state.seconds += time.monotonic() - started
        if state.seconds + state.validation_seconds > self.hooks.max_seconds:
            state.stopped_because = TIME_LIMIT

    def _evaluate(self) -> None:
        state, started = self.state, time.monotonic()
        self.model.eval()
        with torch.no_grad(), self.accelerator.autocast():
            point = self.hooks.validate(self.model, state.step)
        state.validation.append(point)
        if state.best() == point:
            self.best_weights = {name: p.detach().clone() for name, p in self.trainable.items()}
        state.validation_seconds += time.monotonic() - started
        best = state.best()
        behind = 0 if best is None else len(state.validation) - 1 - state.validation.index(best)
        if self.settings.patience and behind >= self.settings.patience:
            state.stopped_because = f"no better validation score in {behind} evaluations"

    def _save(self) -> None:
        moments = self.optimizer.state_dict()["state"]
        flat = {f"{i}.{key}": value for i, named in moments.items() for key, value in named.items()}
        tensors: dict[str, Tensors] = {"weights": dict(self.trainable), "optimizer": flat}
        if self.best_weights:
            tensors["best"] = self.best_weights
        self.folder.save(self.state.step, asdict(self.state), tensors)

    def _resume(self) -> None:
        found = self.folder.newest()
        if found is None:
            return
        self.state = LoopState.load(found.state())
        with torch.no_grad():
            for name, value in found.tensors("weights").items():
                self.trainable[name].copy_(value)
        saved = self.optimizer.state_dict()
        moments: dict[int, Tensors] = {}
        for key, value in found.tensors("optimizer").items():
            index, _, name = key.partition(".")
            moments.setdefault(int(index), {})[name] = value
        self.optimizer.load_state_dict({"state": moments, "param_groups": saved["param_groups"]})
        if (found.path / "best.safetensors").exists():
            self.best_weights = found.tensors("best")
