"""The training loop: the same weights however it is interrupted, the same steps as a plain loop and as the library's trainer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from transformers import LlamaForCausalLM, TrainingArguments
from transformers import Trainer as LibraryTrainer

from provetune.chat import TokenRow
from provetune.engine.likelihood import mean_nats
from provetune.engine.packing import plan_epoch
from provetune.errors import TrainingDiverged
from provetune.tuning.checkpoint import Checkpoint, CheckpointFolder
from provetune.tuning.loop import Trainer
from provetune.tuning.methods import METHODS
from provetune.tuning.state import Hooks, LoopSettings, LoopState, ValidationPoint, learning_rate_at
from tests.models import random_rows, relative_error, tiny_llama

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

LENGTHS = [9, 14, 6, 11, 17, 8, 12, 5, 10, 13]  # with 3 rows a step: 3 whole steps and one of a single row
ROWS = random_rows(LENGTHS)
VALIDATION = random_rows([8, 11], seed=1)
SETTINGS = LoopSettings(learning_rate=0.01, epochs=2, rows_per_step=3, max_tokens=30, weight_decay=0.01, seed=5)
LORA: dict[str, float | int | str] = {"r": 4, "alpha": 8, "dropout": 0.1, "targets": "q_proj, down_proj"}
Step = Callable[[LoopState, int], None]


@pytest.fixture(autouse=True)
def fresh_accelerator() -> Iterator[None]:
    """accelerate keeps its precision for the whole process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def look(model: Any, step: int) -> ValidationPoint:
    nats = mean_nats(model, VALIDATION)
    return ValidationPoint(step, nats, -nats)


def start(method: str) -> Any:
    model = tiny_llama()
    torch.manual_seed(1)
    model = METHODS[method](model, LORA)
    return model


def trainer(folder: CheckpointFolder, method: str = "full", settings: LoopSettings = SETTINGS, progress: Step | None = None) -> Trainer:
    hooks = Hooks(look, progress or (lambda state, total: None), save_every_s=-1)  # a checkpoint after every step
    return Trainer(start(method), ROWS, settings, folder, hooks)


def weights(found: Trainer) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in found.model.named_parameters()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module", params=["full", "lora"])
def uninterrupted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, LoopState, dict[str, torch.Tensor]]:
    """(method, final state, final weights) of a run that was left alone."""
    AcceleratorState._reset_state(reset_partial_state=True)
    whole = trainer(CheckpointFolder(tmp_path_factory.mktemp("whole")), request.param)
    return request.param, whole.run(), weights(whole)


class Killed(Exception):
    """Stands for the process being killed."""


def kill_at(step: int) -> Step:
    def progress(state: LoopState, total: int) -> None:
        if state.step == step:
            raise Killed

    return progress


class FullDisk(CheckpointFolder):
    """Fails to save one step, as a kill between evaluation and saving would."""

    fails_at = 0

    def save(self, step: int, state: dict[str, Any], tensors: dict[str, dict[str, torch.Tensor]]) -> Checkpoint:
        if step == self.fails_at:
            raise Killed
        return super().save(step, state, tensors)


class TestResume:
    @pytest.mark.parametrize("step", [1, 4, 7])
    def test_bit_for_bit_from_any_checkpoint(self, uninterrupted: Any, tmp_path: Path, step: int) -> None:
        method, state, wanted = uninterrupted
        folder = CheckpointFolder(tmp_path)
        with pytest.raises(Killed):
            trainer(folder, method, progress=kill_at(step)).run()
        newest = folder.newest()
        assert newest is not None and newest.step == step
        again = trainer(folder, method)
        found = again.run()
        assert same(weights(again), wanted)
        assert (found.losses, found.validation, found.tokens) == (state.losses, state.validation, state.tokens)

    @pytest.mark.parametrize("step", [4, 8])
    def test_killed_between_evaluation_and_saving(self, uninterrupted: Any, tmp_path: Path, step: int) -> None:
        method, state, wanted = uninterrupted
        full = FullDisk(tmp_path)
        full.fails_at = step
        with pytest.raises(Killed):
            trainer(full, method).run()
        again = trainer(CheckpointFolder(tmp_path), method)
        assert again.run().validation == state.validation and same(weights(again), wanted)

    @pytest.mark.filterwarnings("ignore:the checkpoint:provetune.errors.Notice")
    def test_killed_twice_and_with_a_damaged_checkpoint(self, uninterrupted: Any, tmp_path: Path) -> None:
        method, state, wanted = uninterrupted
        folder = CheckpointFolder(tmp_path)
        for step in (2, 5):
            with pytest.raises(Killed):
                trainer(folder, method, progress=kill_at(step)).run()
        (tmp_path / "step-00000005" / "weights.safetensors").write_bytes(b"half")
        again = trainer(folder, method)
        assert again.run().losses == state.losses and same(weights(again), wanted)

    def test_a_finished_run_is_not_trained_again(self, uninterrupted: Any, tmp_path: Path) -> None:
        method, _, wanted = uninterrupted
        folder = CheckpointFolder(tmp_path)
        trainer(folder, method).run()
        again = trainer(folder, method, progress=kill_at(9))
        assert again.run().step == 8 and same(weights(again), wanted)

    def test_without_checkpoints_another_seed_is_another_run(self, uninterrupted: Any, tmp_path: Path) -> None:
        method, state, wanted = uninterrupted
        other = trainer(CheckpointFolder(tmp_path), method, LoopSettings(**{**vars(SETTINGS), "seed": 6}))
        assert other.run().losses != state.losses and not same(weights(other), wanted)


class TestGuarantees:
    def test_all_trainable_weights_move_and_the_base_stays(self, uninterrupted: Any) -> None:
        method, _, after = uninterrupted
        before = {name: p.detach() for name, p in start(method).named_parameters()}
        moved = {name for name in after if not torch.equal(after[name], before[name])}
        trained = {name for name in after if method == "full" or "lora_" in name}
        assert moved == trained and trained

    def test_every_token_is_counted_and_the_loss_falls(self, uninterrupted: Any) -> None:
        method, state, _ = uninterrupted
        assert state.step == 8 and [step for step, _, _ in state.losses] == list(range(1, 9))
        assert state.tokens == 2 * sum(LENGTHS) and state.labelled_tokens == 2 * sum(row.label_count for row in ROWS)
        assert [point.step for point in state.validation] == [4, 8]
        assert state.stopped_because is None
        first, second = (sum(loss for _, loss, _ in state.losses[epoch : epoch + 4]) for epoch in (0, 4))
        assert method == "lora" or second < 0.95 * first  # ten rows by heart; eight steps of an adapter are too few for that

    def test_micro_batches_do_not_change_the_trajectory(self, tmp_path: Path) -> None:
        losses = []
        for tokens in (1, 25, 4096):
            found = trainer(CheckpointFolder(tmp_path / str(tokens)), settings=LoopSettings(**{**vars(SETTINGS), "max_tokens": tokens}))
            losses.append([loss for _, loss, _ in found.run().losses])
        assert losses[1] == pytest.approx(losses[0], rel=1e-4) and losses[2] == pytest.approx(losses[0], rel=1e-4)

    def test_a_loss_that_is_no_number_stops_the_run(self, tmp_path: Path) -> None:
        sick = trainer(CheckpointFolder(tmp_path))
        with torch.no_grad():
            next(iter(sick.trainable.values()))[20, 0] = math.nan
        before = weights(sick)
        with pytest.raises(
            TrainingDiverged,
            match=r"step 0, learning rate 0.01: loss nan, gradient norm nan: the weights .* no numbers",
        ):
            sick.run()
        after = weights(sick)
        assert all(torch.equal(before[name].nan_to_num(), after[name].nan_to_num()) for name in before)  # no step was taken
        assert CheckpointFolder(tmp_path).newest() is None

    def test_a_far_too_high_learning_rate_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(TrainingDiverged, match="learning rate"):
            trainer(CheckpointFolder(tmp_path), settings=LoopSettings(**{**vars(SETTINGS), "learning_rate": 1e20})).run()


class TestStopping:
    def run(
        self, tmp_path: Path, scores: list[float], patience: int, max_seconds: float = math.inf
    ) -> tuple[LoopState, Trainer, list[dict[str, Any]]]:
        """Train with a script of validation scores; the weights at each look."""
        seen: list[dict[str, Any]] = []

        def scripted(model: Any, step: int) -> ValidationPoint:
            seen.append({name: p.detach().clone() for name, p in model.named_parameters()})
            return ValidationPoint(step, 1.0, scores[len(seen) - 1])

        settings = LoopSettings(**{**vars(SETTINGS), "patience": patience, "epochs": len(scores)})
        found = Trainer(start("full"), ROWS, settings, CheckpointFolder(tmp_path), Hooks(scripted, max_seconds=max_seconds))
        return found.run(), found, seen

    def test_early_stop_after_patience_looks(self, tmp_path: Path) -> None:
        state, found, seen = self.run(tmp_path, [0.1, 0.5, 0.4, 0.5, 0.9], patience=2)
        assert len(seen) == 4 and state.step == 16  # 0.5 again is no better
        assert state.stopped_because == "no better validation score in 2 evaluations"
        best = state.best()
        assert best is not None and best.step == 8 and same(weights(found), seen[1])

    def test_without_patience_all_epochs_and_still_the_best_weights(self, tmp_path: Path) -> None:
        state, found, seen = self.run(tmp_path, [0.3, 0.1, 0.2], patience=0)
        assert len(seen) == 3 and state.stopped_because is None
        assert same(weights(found), seen[0]) and not same(weights(found), seen[2])

    def test_an_early_stop_stays_one_after_a_resume(self, tmp_path: Path) -> None:
        first, found, _ = self.run(tmp_path, [0.5, 0.4, 0.3, 0.2], patience=1)
        second, again, seen = self.run(tmp_path, [0.5, 0.4, 0.3, 0.2], patience=1)
        assert not seen and second.losses == first.losses and same(weights(again), weights(found))

    def test_the_time_limit_ends_the_run_after_a_look_at_what_is_kept(self, tmp_path: Path) -> None:
        state, found, seen = self.run(tmp_path, [0.5], patience=0, max_seconds=0.0)
        assert (state.step, state.stopped_because, [point.step for point in state.validation]) == (1, "time limit", [1])
        assert same(weights(found), seen[0])
        again, _, more = self.run(tmp_path, [0.5], patience=0, max_seconds=0.0)
        assert not more and again.validation == state.validation

    def test_somebody_who_asks_ends_the_run_with_the_best_weights_after_a_look(self, tmp_path: Path) -> None:
        asked = iter([False] * 5 + [True])  # in the second epoch of four steps
        seen: list[dict[str, Any]] = []

        def look_once_better(model: Any, step: int) -> ValidationPoint:
            seen.append({name: p.detach().clone() for name, p in model.named_parameters()})
            return ValidationPoint(step, 1.0, 0.9 if step == 4 else 0.1)

        hooks = Hooks(look_once_better, asked_to_stop=lambda: next(asked))
        found = Trainer(start("full"), ROWS, SETTINGS, CheckpointFolder(tmp_path), hooks)
        state = found.run()
        assert (state.step, state.stopped_because) == (6, "somebody asked for it")
        assert [point.step for point in state.validation] == [4, 6] and same(weights(found), seen[0])

    def test_equal_scores_are_decided_by_the_loss_then_by_the_step(self) -> None:
        points = [ValidationPoint(1, 2.0, 0.5), ValidationPoint(2, 1.0, 0.5), ValidationPoint(3, 1.0, 0.5), ValidationPoint(4, 0.1, 0.4)]
        assert LoopState(validation=points).best() == points[1]
        assert LoopState().best() is None


class TestLearningRate:
    settings = LoopSettings(learning_rate=1.0, epochs=1, rows_per_step=1, warmup_share=0.1, decay_share=0.5)

    def rates(self, total: int, settings: LoopSettings) -> list[float]:
        return [learning_rate_at(step, total, settings) for step in range(total)]

    def test_warm_up_plateau_cosine(self) -> None:
        rates = self.rates(100, self.settings)
        assert rates[:10] == pytest.approx([(k + 1) / 10 for k in range(10)])
        assert rates[10:51] == pytest.approx([1.0] * 41)
        assert rates[75] == pytest.approx(0.5) and rates[51:] == sorted(rates[51:], reverse=True)
        assert 0 < rates[-1] < 0.01

    def test_cosine_from_the_end_of_the_warm_up(self) -> None:
        rates = self.rates(100, LoopSettings(learning_rate=1.0, epochs=1, rows_per_step=1))
        assert max(rates) == 1.0 and rates[5:] == sorted(rates[5:], reverse=True)

    @pytest.mark.parametrize("total", [1, 2, 3])
    def test_the_shortest_runs_learn(self, total: int) -> None:
        assert all(0 < rate <= 1.0 for rate in self.rates(total, self.settings))

    def test_constant_without_decay(self) -> None:
        assert self.rates(7, LoopSettings(learning_rate=1.0, epochs=1, rows_per_step=1, warmup_share=0, decay_share=0)) == [1.0] * 7


def batch(rows: list[TokenRow]) -> dict[str, torch.Tensor]:
    """Padded tensors as the library takes them."""
    longest = max(map(len, rows))
    found = {name: torch.full((len(rows), longest), fill) for name, fill in (("input_ids", 0), ("labels", -100), ("attention_mask", 0))}
    for place, row in enumerate(rows):
        ids = torch.from_numpy(row.ids)
        found["input_ids"][place, : len(row)] = ids
        found["labels"][place, : len(row)] = ids.where(torch.from_numpy(row.labelled), torch.tensor(-100))
        found["attention_mask"][place, : len(row)] = 1
    return found


def test_the_trajectory_of_a_plain_loop(tmp_path: Path) -> None:
    model: LlamaForCausalLM = tiny_llama().train()
    matrices, vectors = ([p for p in model.parameters() if (p.ndim >= 2) == two] for two in (True, False))
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.01}, {"params": vectors, "weight_decay": 0.0}], betas=(0.9, 0.99))
    wanted = []
    steps = [numbers for epoch in (0, 1) for numbers in plan_epoch(len(ROWS), 3, 5, epoch)]
    for step, numbers in enumerate(steps[:5]):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, 8, SETTINGS)
        loss = model(**batch([ROWS[row] for row in numbers])).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        wanted.append(float(loss.detach()))
    ours = trainer(CheckpointFolder(tmp_path), progress=kill_at(5))
    with pytest.raises(Killed):
        ours.run()
    assert [loss for _, loss, _ in ours.state.losses] == pytest.approx(wanted, rel=1e-5)
    theirs = dict(model.named_parameters())
    assert max(relative_error(p.detach(), theirs[name].detach()) for name, p in ours.model.named_parameters()) < 1e-4


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_the_steps_of_the_librarys_trainer(tmp_path: Path) -> None:
    """Three steps of two micro-batches, constant learning rate: the same weights."""
    settings = LoopSettings(learning_rate=0.003, epochs=1, rows_per_step=4, max_tokens=1, warmup_share=0, decay_share=0, seed=5)
    order = [row for numbers in plan_epoch(len(ROWS), 4, 5, 0) for row in numbers]
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "library"),
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
        num_train_epochs=1,
        learning_rate=0.003,
        lr_scheduler_type="constant",
        optim="adamw_torch",
        adam_beta2=0.99,
        weight_decay=0.0,
        max_grad_norm=1.0,
        train_sampling_strategy="sequential",
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )
    model = tiny_llama()
    library = LibraryTrainer(model=model, args=arguments, train_dataset=[ROWS[row] for row in order], data_collator=batch)
    library.train()
    AcceleratorState._reset_state(reset_partial_state=True)
    ours = Trainer(
        start("full"), ROWS, settings, CheckpointFolder(tmp_path / "ours"), Hooks(lambda _, step: ValidationPoint(step, 0.0, 0.0))
    )
    assert ours.run().step == library.state.global_step == 3
    theirs = dict(model.named_parameters())
    assert max(relative_error(p.detach(), theirs[name].detach()) for name, p in ours.model.named_parameters()) < 1e-4
