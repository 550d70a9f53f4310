"""The training loop: small, on accelerate, the same for full tuning, LoRA and the starter model.

What it guarantees: every row once per epoch in an order that is a function of (seed, epoch); the loss of
an optimizer step is the mean over all labelled tokens of that step, however it is cut into packs; a run
that is killed and resumed from its newest checkpoint ends with the same weights, bit for bit (same
machine, versions, thread count and precision). Where memory runs out, packs are halved and the step is
taken again: the rows of a step stay the same. Several ranks share the packs of a step; the first alone measures and writes.
"""

from __future__ import annotations

import hashlib
import math
import time
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from functools import cached_property, partial
from typing import Any

import torch
from accelerate import Accelerator

from provetune.chat import TokenRow
from provetune.engine.attention import ATTENTION_NAME
from provetune.engine.forward import attention, pack_loss
from provetune.engine.packing import Pack, PackSettings, pack_rows, plan_epoch, rows_of, tokens_of
from provetune.engine.padded import padded_loss
from provetune.errors import HardwareTooSmall, Notice, TrainingDiverged
from provetune.hashing import fingerprint
from provetune.tuning.checkpoint import Checkpoint, CheckpointFolder, Tensors
from provetune.tuning.faults import check_step, check_trainable, out_of_memory, uninterrupted
from provetune.tuning.methods import parameter_groups
from provetune.tuning.noise import noise_scale, noisy_embeddings
from provetune.tuning.optimizers import OPTIMIZERS
from provetune.tuning.state import ASKED, Hooks, LoopSettings, LoopState, ValidationPoint, learning_rate_at


class Trainer:
    """One run of the loop over one model; `run()` starts or resumes it and returns its final state."""

    def __init__(self, model: Any, rows: Sequence[TokenRow], settings: LoopSettings, folder: CheckpointFolder, hooks: Hooks) -> None:
        self.rows, self.settings, self.folder, self.hooks, self.ranks = rows, settings, folder, hooks, hooks.ranks
        self.accelerator = Accelerator(mixed_precision=settings.precision, cpu=not torch.cuda.is_available())
        self.loss = pack_loss if settings.packed else padded_loss
        self.attention = partial(attention, model, ATTENTION_NAME) if settings.packed else nullcontext
        self.trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
        check_trainable(self.trainable)
        groups = parameter_groups(self.trainable, settings.weight_decay, settings.plus)
        optimizer = OPTIMIZERS[settings.optimizer](groups, settings)
        # gradients are summed by `Ranks`: accelerate must not wrap the model to do it, too
        model = self.accelerator.prepare_model(model, evaluation_mode=self.ranks.count > 1)
        self.optimizer = self.accelerator.prepare_optimizer(optimizer)
        # accelerate puts its autocast around `forward` for good; here it is on in training steps only
        self.model = self.accelerator.unwrap_model(model, keep_fp32_wrapper=False)
        self.ranks.same_start(self.trainable)
        self.steps_per_epoch = math.ceil(len(rows) / settings.rows_per_step)
        self.total_steps = self.steps_per_epoch * settings.epochs
        self.evaluate_at = {
            epoch * self.steps_per_epoch + round(self.steps_per_epoch * part / settings.evaluations_per_epoch)
            for epoch in range(settings.epochs)
            for part in range(1, settings.evaluations_per_epoch + 1)
        }
        self.state = LoopState()
        self.best_weights: Tensors = {}

    @cached_property
    def job(self) -> str:
        """What a checkpoint must be of to be gone on from: these settings, rows and parameters."""
        rows = hashlib.sha256(b"".join(row.ids.tobytes() + row.labelled.tobytes() for row in self.rows)).hexdigest()
        beside = [] if self.hooks.beside is None else [self.hooks.beside.key]
        return fingerprint([asdict(self.settings), rows, [[name, list(p.shape)] for name, p in self.trainable.items()], *beside])

    def run(self) -> LoopState:
        """Train to the end, to early stop or to the limit; leaves the best weights in the model.

        An interruption (KeyboardInterrupt) saves a checkpoint first. Raises TrainingDiverged, RunFailed where the disk fails,
        HardwareTooSmall where not even one row fits into memory.
        """
        if self.ranks.first:
            self.folder.make_room(4 * sum(p.nbytes for p in self.trainable.values()))  # weights, two moments, best weights
        self._resume()
        try:
            self._train()
        except KeyboardInterrupt:
            with uninterrupted():
                self._save()
            raise
        with torch.no_grad():
            for name, value in self.best_weights.items():
                self.trainable[name].copy_(value)
        return self.state

    def _train(self) -> None:
        state, saved_at = self.state, time.monotonic()
        if state.step in self.evaluate_at and not self._looked_at():
            self._evaluate()  # interrupted before or during the look
            self._save()
        while state.step < self.total_steps and state.stopped_because is None:
            epoch, offset = divmod(state.step, self.steps_per_epoch)
            plan = plan_epoch(len(self.rows), self.settings.rows_per_step, self.settings.seed, epoch)
            for numbers in plan[offset:]:
                self._optimizer_step(numbers)
                evaluated = state.step in self.evaluate_at
                if evaluated:
                    self._evaluate()
                if evaluated or (self.ranks.first and time.monotonic() - saved_at > self.hooks.save_every_s):
                    self._save()
                    saved_at = time.monotonic()
                self.hooks.progress(state, self.total_steps)
                if state.stopped_because is not None:
                    break
        if state.stopped_because in (self.hooks.limit, ASKED) and not self._looked_at():
            self._evaluate()  # what is kept has always been looked at
            self._save()

    def _looked_at(self) -> bool:
        return self.state.step in {point.step for point in self.state.validation}

    def _optimizer_step(self, numbers: list[int]) -> None:
        started = time.monotonic()
        state, settings = self.state, self.settings
        rate = learning_rate_at(state.step, self.total_steps, settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["rate"]
        rows = [self.rows[number] for number in numbers]
        labels = sum(row.label_count for row in rows)
        total, norm = self._gradients(self.rows, numbers, (labels,))
        cause = check_step(self.model, state.losses, total, math.hypot(norm, self._add_beside()))
        if cause is not None:
            found = f"step {state.step}, learning rate {rate:.2g}: loss {total}, gradient norm {norm}"
            raise TrainingDiverged(f"{found}: {cause}. The last good checkpoint is kept")
        with uninterrupted():
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            state.step += 1
            state.tokens += sum(len(row) for row in rows)
            state.labelled_tokens += labels
            state.losses.append((state.step, total, norm))
            # all ranks stop at the same step
            seconds, asked = self.ranks.told([time.monotonic() - started, float(self.hooks.asked_to_stop())])
            state.seconds += seconds
            if state.seconds + state.validation_seconds > self.hooks.max_seconds:
                state.stopped_because = self.hooks.limit
            elif asked:
                state.stopped_because = ASKED

    def _add_beside(self) -> float:
        """The norm of the gradient of what is trained on beside the task, once it is added to the task's."""
        if (beside := self.hooks.beside) is None:
            return 0.0
        own = {name: p.grad for name, p in self.trainable.items()}
        self.optimizer.zero_grad(set_to_none=True)
        numbers = beside.numbers(self.settings.seed, self.state.step)
        _, norm = self._gradients(beside.rows, numbers, (sum(beside.rows[number].label_count for number in numbers), beside.pull))
        for name, parameter in self.trainable.items():
            parameter.grad = (
                own[name] if parameter.grad is None or own[name] is None else parameter.grad.mul_(beside.weight).add_(own[name])
            )
        return norm

    def _gradients(self, rows: Sequence[TokenRow], numbers: list[int], rest: tuple[Any, ...]) -> tuple[float, float]:
        """The loss of these rows and its gradient's norm, the gradient clipped in place; packs are halved until memory suffices.

        `rest` is what the loss function is given after the pack.
        """
        self.model.train()
        while True:
            tokens = self.state.halved[-1][1] if self.state.halved else self.settings.max_tokens
            if self.settings.packs > 1:
                tokens = min(tokens, math.ceil(sum(len(rows[number]) for number in numbers) / self.settings.packs))
            packs = pack_rows(rows, numbers, PackSettings(tokens, share=self.settings.packed))
            total, short = 0.0, False
            try:
                for number, pack in self.ranks.mine(packs, {row: len(rows[row]) for row in numbers}):
                    # dropout is drawn by pack, so that it does not matter which rank has it
                    torch.manual_seed(self.settings.seed * 1_000_003 + self.state.step + number * 2**40)
                    noise = noise_scale(self.model, rows, pack, alpha=self.settings.neftune, packed=self.settings.packed)
                    # a checkpointed layer runs again in the backward pass
                    with self.attention(), noisy_embeddings(self.model, noise):
                        with self.accelerator.autocast():
                            loss = self.loss(self.model, rows, pack, *rest)
                        self.accelerator.backward(loss)
                    total += float(loss.detach())
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                short = True
            total, lacking = self.ranks.summed([0.0 if short else total, float(short)])
            if not lacking:
                self.ranks.sum_gradients(self.trainable.values())
                return total, float(self.accelerator.clip_grad_norm_(self.trainable.values(), self.settings.max_grad_norm))
            self._halve(rows, packs)

    def _halve(self, rows: Sequence[TokenRow], packs: Sequence[Pack]) -> None:
        """Smaller packs from this step on, written down before they are used."""
        self.optimizer.zero_grad(set_to_none=True)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        lengths = [len(row) for row in rows]
        largest = max(tokens_of(pack, lengths) for pack in packs)
        if all(len(rows_of(pack)) == 1 for pack in packs):
            raise HardwareTooSmall(f"step {self.state.step}: one row of {largest} tokens does not fit into memory; lower train.max_length")
        self.state.halved.append((self.state.step, largest // 2))
        self._save()
        said = f"step {self.state.step}: {largest} tokens at once do not fit into memory; from here on at most {largest // 2}"
        warnings.warn(f"{said}, with the same rows a step", Notice, stacklevel=2)

    def _evaluate(self) -> None:
        state, started = self.state, time.monotonic()
        self.model.eval()
        self.ranks.check_same(self.trainable, state.step)
        loss = score = 0.0
        if self.ranks.first:
            with torch.no_grad(), self.accelerator.autocast():
                point = self.hooks.validate(self.model, state.step)
            loss, score = point.loss, point.score
        point = ValidationPoint(state.step, *self.ranks.told([loss, score]))
        with uninterrupted():
            state.validation.append(point)
            if state.best() == point:
                self.best_weights = {name: p.detach().clone() for name, p in self.trainable.items()}
        state.validation_seconds += self.ranks.told([time.monotonic() - started])[0]
        best = state.best()
        behind = 0 if best is None else len(state.validation) - 1 - state.validation.index(best)
        if self.settings.patience and behind >= self.settings.patience:
            state.stopped_because = f"no better validation score in {behind} evaluations"

    def _save(self) -> None:
        if not self.ranks.first:
            return
        moments = self.optimizer.state_dict()["state"]
        flat = {f"{i}.{key}": value for i, named in moments.items() for key, value in named.items()}
        tensors: dict[str, Tensors] = {"weights": dict(self.trainable), "optimizer": flat}
        if self.best_weights:
            tensors["best"] = self.best_weights
        self.folder.save(self.state.step, {**asdict(self.state), "job": self.job}, tensors)

    def _newest(self) -> Checkpoint | None:
        """The newest checkpoint of this job, as the first rank finds it, which sets others aside."""
        found = None
        if self.ranks.first:
            while (found := self.folder.newest()) is not None and found.state().get("job") != self.job:
                self.folder.set_aside(found.path, "is of other rows, settings or parameters")
        step = int(self.ranks.told([-1 if found is None else found.step])[0])
        return found if self.ranks.first else self.folder.at(step) if step >= 0 else None

    def _resume(self) -> None:
        found = self._newest()
        if found is None:
            return
        saved = found.state()
        del saved["job"]
        self.state = LoopState.load(saved)
        self.state.resumed += 1
        with torch.no_grad():
            for name, value in found.tensors("weights").items():
                self.trainable[name].copy_(value)
        groups = self.optimizer.state_dict()["param_groups"]
        moments: dict[int, Tensors] = {}
        for key, value in found.tensors("optimizer").items():
            index, _, name = key.partition(".")
            moments.setdefault(int(index), {})[name] = value
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        if (found.path / "best.safetensors").exists():
            self.best_weights = found.tensors("best")
