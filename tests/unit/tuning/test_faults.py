"""Every fault that a training may meet: what is kept, what is said, and that going on ends with the same weights."""

from __future__ import annotations

import math
import os
import pickle
import random
import resource
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file, save_file

from provetune.engine.likelihood import mean_nats
from provetune.errors import HardwareTooSmall, ModelError, Notice, RunFailed, TrainingDiverged
from provetune.tuning.checkpoint import CheckpointFolder
from provetune.tuning.faults import RISING_STEPS, check_step, check_trainable, disk_faults, out_of_memory, uninterrupted
from provetune.tuning.loop import Trainer
from provetune.tuning.methods import METHODS
from provetune.tuning.state import Hooks, LoopSettings, LoopState, ValidationPoint
from tests.models import random_rows, tiny_llama

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

ROWS = random_rows([9, 14, 6, 11, 17, 8, 12, 5, 10, 13])
VALIDATION = random_rows([8, 11], seed=1)
SETTINGS = LoopSettings(learning_rate=0.01, epochs=2, rows_per_step=3, max_tokens=30, weight_decay=0.01, seed=5)
LORA: dict[str, float | int | str] = {"r": 4, "alpha": 8, "dropout": 0.1, "targets": "q_proj, down_proj"}
Weights = dict[str, torch.Tensor]


@pytest.fixture(autouse=True)
def fresh_accelerator() -> Iterator[None]:
    """accelerate keeps its precision for the whole process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def sigterm_interrupts() -> Iterator[None]:
    """SIGTERM as the command line takes it."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    yield
    signal.signal(signal.SIGTERM, before)


def look(model: Any, step: int) -> ValidationPoint:
    nats = mean_nats(model, VALIDATION)
    return ValidationPoint(step, nats, -nats)


def quiet(state: LoopState, total: int) -> None:
    """Progress that nobody reads."""


def trainer(
    path: Path, progress: Callable[[LoopState, int], None] = quiet, settings: LoopSettings = SETTINGS, save_every_s: float = -1
) -> Trainer:
    torch.manual_seed(1)
    model = METHODS["lora"](tiny_llama(), LORA)
    return Trainer(model, ROWS, settings, CheckpointFolder(path), Hooks(look, progress, save_every_s=save_every_s))


def weights(found: Trainer) -> Weights:
    return {name: p.detach().clone() for name, p in found.trainable.items()}


def same(a: Weights, b: Weights) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def left_alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[LoopState, Weights]:
    AcceleratorState._reset_state(reset_partial_state=True)
    whole = trainer(tmp_path_factory.mktemp("whole"))
    return whole.run(), weights(whole)


# -- killed and stopped


def in_a_child(work: Callable[[], None]) -> int:
    """Run `work` in a child process; its process id."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return child


def killed_after(child: int, seconds: float) -> bool:
    """Whether the child had to be killed; it must have ended well otherwise."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            assert status == 0
            return False
        time.sleep(0.0005)
    os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL)
    return status != 0


@pytest.mark.filterwarnings("ignore:the checkpoint:provetune.errors.Notice")
@pytest.mark.parametrize("wanted", [6, pytest.param(100, marks=pytest.mark.slow)])
def test_killed_at_random_moments_it_ends_bit_identical(left_alone: tuple[LoopState, Weights], tmp_path: Path, wanted: int) -> None:
    draw, kills, rounds = random.Random(wanted), 0, 0
    seconds = left_alone[0].seconds + left_alone[0].validation_seconds + 0.1
    while kills < wanted:
        rounds += 1
        place, reported = tmp_path / f"round-{rounds}", tmp_path / f"reported-{rounds}"

        def train(place: Path = place, reported: Path = reported) -> None:
            found = trainer(place, lambda state, total: None if reported.write_bytes(bytes([state.step])) else None)
            found.run()
            save_file({name: p.contiguous() for name, p in weights(found).items()}, place / "final.safetensors")

        while killed_after(in_a_child(train), draw.uniform(0, seconds)):
            kills += 1
            newest, told = CheckpointFolder(place).newest(), reported.read_bytes() if reported.exists() else b""
            assert not told or (newest is not None and newest.step >= told[0]), "no saved step is ever lost"
        assert same(load_file(place / "final.safetensors"), left_alone[1]), f"after {kills} kills, in round {rounds}"
    assert rounds <= 2 * wanted, "hardly any kill came before the end"


@pytest.mark.usefixtures("sigterm_interrupts")
@pytest.mark.parametrize(("where", "saved"), [("loss", 4), ("optimizer", 5), ("validation", 4), ("progress", 4)])
def test_a_sigterm_saves_first_wherever_it_comes(left_alone: tuple[LoopState, Weights], tmp_path: Path, where: str, saved: int) -> None:
    def signal_in(place: str) -> None:
        if place == where and found.state.step == 4:
            signal.raise_signal(signal.SIGTERM)

    def validate(model: Any, step: int) -> ValidationPoint:
        signal_in("validation")
        return look(model, step)

    def loss(*given: Any) -> Any:
        signal_in("loss")
        return true_loss(*given)

    def take_step() -> None:
        signal_in("optimizer")
        true_step()

    torch.manual_seed(1)
    told = Hooks(validate, lambda state, total: signal_in("progress"), save_every_s=math.inf)
    found = Trainer(METHODS["lora"](tiny_llama(), LORA), ROWS, SETTINGS, CheckpointFolder(tmp_path), told)
    true_loss, true_step = found.loss, found.optimizer.step
    found.loss, found.optimizer.step = loss, take_step  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        found.run()
    newest = CheckpointFolder(tmp_path).newest()
    assert newest is not None and newest.step == saved
    again = trainer(tmp_path)
    state = again.run()
    assert same(weights(again), left_alone[1])
    assert (state.losses, state.validation, state.resumed) == (left_alone[0].losses, left_alone[0].validation, 1)


@pytest.mark.usefixtures("sigterm_interrupts")
def test_what_changes_weights_is_done_whole_before_a_signal_counts() -> None:
    done = False
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        signal.raise_signal(signal.SIGTERM)
        done = True
    assert done


# -- the disk


def test_a_full_disk_is_named_and_the_run_goes_on_once_there_is_room(left_alone: tuple[LoopState, Weights], tmp_path: Path) -> None:
    size = 0

    def fill(state: LoopState, total: int) -> None:
        nonlocal size
        if state.step == 3:
            size = max(file.stat().st_size for file in tmp_path.rglob("*.safetensors"))
            resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, resource.RLIM_INFINITY))

    try:
        with pytest.raises(RunFailed, match=r"step-00000004: cannot be written \(.*File too large.*the same command continues"):
            trainer(tmp_path, fill).run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert size > 0 and sorted(item.name for item in tmp_path.iterdir()) == ["step-00000002", "step-00000003"], "nothing half is left"
    again = trainer(tmp_path)
    again.run()
    assert same(weights(again), left_alone[1])


def test_too_little_room_is_told_before_anything_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: used._replace(free=100_000))
    sick = trainer(tmp_path)
    with pytest.raises(RunFailed, match=r"found 0\.00 GiB free, wanted .* GiB for checkpoints"):
        sick.run()
    assert sick.state.step == 0 and not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_trained() -> None:
    sick = trainer(Path("/proc/checkpoints"))
    with pytest.raises(RunFailed, match=r"/proc/checkpoints: cannot be written"):
        sick.run()
    assert sick.state.step == 0


def test_an_error_of_the_disk_names_the_place(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=r"here: cannot be written \(Input/output error\)"), disk_faults(Path("here")):
        raise OSError(5, "Input/output error")


# -- damaged checkpoints


def stopped_at_5(tmp_path: Path) -> Path:
    """The newest checkpoint of a run that was killed after step 5."""

    class Killed(Exception):
        pass

    def kill(state: LoopState, total: int) -> None:
        if state.step == 5:
            raise Killed

    with pytest.raises(Killed):
        trainer(tmp_path, kill).run()
    return tmp_path / "step-00000005"


@pytest.mark.parametrize("file", ["weights.safetensors", "optimizer.safetensors", "best.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["cut", "flip", "gone", "empty"])
def test_a_damaged_file_falls_back_and_says_so(left_alone: tuple[LoopState, Weights], tmp_path: Path, file: str, damage: str) -> None:
    path = stopped_at_5(tmp_path) / file
    content = path.read_bytes()
    match damage:
        case "cut":
            path.write_bytes(content[: len(content) // 2])
        case "flip":
            middle = len(content) // 2
            path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
        case "gone":
            path.unlink()
        case "empty":
            path.write_bytes(b"")
    again = trainer(tmp_path)
    with pytest.warns(Notice, match="step-00000005 is damaged: it is passed over and kept as aside-step-00000005"):
        state = again.run()
    assert same(weights(again), left_alone[1]) and state.losses == left_alone[0].losses
    assert (tmp_path / "aside-step-00000005").is_dir()


def test_an_empty_folder_falls_back(left_alone: tuple[LoopState, Weights], tmp_path: Path) -> None:
    shutil.rmtree(stopped_at_5(tmp_path))
    (tmp_path / "step-00000005").mkdir()
    again = trainer(tmp_path)
    with pytest.warns(Notice, match="is damaged"):
        again.run()
    assert same(weights(again), left_alone[1])


class Payload:
    """What a pickle could do: write a file when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (os.mkdir, (str(self.mark),))


def test_a_pickle_among_the_files_is_never_read(left_alone: tuple[LoopState, Weights], tmp_path: Path) -> None:
    path = stopped_at_5(tmp_path / "run")
    for name in ("optimizer.pt", "training_args.bin", "rng_state.pth"):
        (path / name).write_bytes(pickle.dumps(Payload(tmp_path / "executed")))
    again = trainer(tmp_path / "run")
    again.run()
    assert same(weights(again), left_alone[1]) and not (tmp_path / "executed").exists()


def test_no_random_state_can_be_missing(left_alone: tuple[LoopState, Weights], tmp_path: Path) -> None:
    path = stopped_at_5(tmp_path)
    assert {item.name for item in path.iterdir()} == {
        *("manifest.json", "state.json", "weights.safetensors", "optimizer.safetensors", "best.safetensors"),
    }
    again = trainer(tmp_path)
    torch.manual_seed(987)
    torch.rand(1000)
    random.seed(3)
    again.run()
    assert same(weights(again), left_alone[1]), "each step is seeded by its number, dropout included"


def test_a_checkpoint_of_another_training_is_not_gone_on_from(tmp_path: Path) -> None:
    stopped_at_5(tmp_path)
    other = LoopSettings(**{**vars(SETTINGS), "learning_rate": 0.02})
    again = trainer(tmp_path, settings=other)
    with pytest.warns(Notice, match="is of other rows, settings or parameters"):
        state = again.run()
    fresh = trainer(tmp_path / "fresh", settings=other)
    assert fresh.run().losses == state.losses and same(weights(fresh), weights(again)) and state.resumed == 0


# -- numbers


def test_an_infinite_loss_stops_before_the_weights_are_touched(tmp_path: Path) -> None:
    def poison(state: LoopState, total: int) -> None:
        if state.step == 3:
            sick.loss = lambda *given: honest(*given) * math.inf

    sick = trainer(tmp_path, poison)
    honest = sick.loss
    with pytest.raises(TrainingDiverged, match=r"step 3, .*loss inf.*the loss overflows; lower train\.learning_rate\. The last good"):
        sick.run()
    newest = CheckpointFolder(tmp_path).newest()
    assert newest is not None and newest.step == 3
    assert same(newest.tensors("weights"), weights(sick)) and all(p.isfinite().all() for p in weights(sick).values())


def test_a_weight_that_is_no_number_is_named(tmp_path: Path) -> None:
    sick = trainer(tmp_path)
    with torch.no_grad():
        dict(sick.model.named_parameters())["base_model.model.model.norm.weight"][3] = math.nan
    with pytest.raises(TrainingDiverged, match=r"the weights base_model\.model\.model\.norm\.weight hold values that are no numbers"):
        sick.run()


def taken(losses: list[float]) -> list[tuple[int, float, float]]:
    return [(step, loss, 1.0) for step, loss in enumerate(losses, start=1)]


CALM = [2.0, 1.8, 1.7, 1.5, 1.4, 1.2, 1.1, 1.0, 0.9, 0.8, 0.7, 0.6]


@pytest.mark.parametrize(
    ("losses", "norm", "cause"),
    [
        ([1.0, math.nan], math.nan, "the loss overflows"),
        ([1.0, math.inf], 1.0, "the loss overflows"),
        ([1.0, 1.0], math.inf, "the gradient overflows"),
        ([2.3], 0.0, "no gradient arrives"),
        ([*CALM, *[40.0] * RISING_STEPS], 1.0, "the loss has exploded"),
    ],
)
def test_each_way_to_diverge_has_its_name(losses: list[float], norm: float, cause: str) -> None:
    found = check_step(tiny_llama(), taken(losses[:-1]), losses[-1], norm)
    assert found is not None and found.startswith(cause)


@pytest.mark.parametrize(
    "losses",
    [
        [5.0],
        [*CALM, 40.0],  # one hard step
        [*CALM, *[40.0] * (RISING_STEPS - 1)],
        [*CALM, *[40.0] * (RISING_STEPS - 1), 0.5],
        [1.0] * 5 + [0.001] * 30 + [1.0] * RISING_STEPS,  # rows that nobody has learned yet
        [0.001] * 30 + [0.5] * RISING_STEPS,  # a base that already did the task
        [40.0] * 20,
    ],
)
def test_what_is_only_hard_goes_on(losses: list[float]) -> None:
    assert check_step(tiny_llama(), taken(losses[:-1]), losses[-1], 1.0) is None


def test_a_zero_gradient_at_a_loss_of_zero_is_all_learned() -> None:
    assert check_step(tiny_llama(), taken([1.0]), 0.0, 0.0) is None


def test_an_exploding_run_stops_by_itself_and_keeps_a_good_state(tmp_path: Path) -> None:
    calm = LoopSettings(learning_rate=1e-4, epochs=20, rows_per_step=3, max_tokens=30, decay_share=0, seed=5)

    def explode(state: LoopState, total: int) -> None:
        if state.step == 12:
            sick.settings = LoopSettings(**{**vars(calm), "learning_rate": 10.0})

    sick = Trainer(METHODS["full"](tiny_llama(), {}), ROWS, calm, CheckpointFolder(tmp_path), Hooks(look, explode))
    with pytest.raises(TrainingDiverged, match=r"the loss has exploded: 5 steps in a row .* lower train\.learning_rate"):
        sick.run()
    assert sick.state.step == 12 + RISING_STEPS
    newest = CheckpointFolder(tmp_path).newest()
    assert newest is not None and all(p.isfinite().all() for p in newest.tensors("best").values())


@pytest.mark.parametrize(
    ("trainable", "words"),
    [
        ({}, "found no trainable parameter"),
        ({"a": torch.zeros(2), "b": torch.zeros(2, dtype=torch.bfloat16)}, "b is torch.bfloat16, wanted torch.float32"),
    ],
)
def test_what_could_not_learn_is_refused(trainable: Weights, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        check_trainable(trainable)


# -- memory


def small_memory(path: Path, room: int) -> Trainer:
    """A training on a machine that holds at most `room` tokens at once from step 2 on."""

    def loss(model: Any, rows: Any, pack: Any, *more: Any) -> Any:
        if found.state.step >= 2 and sum(len(rows[row]) for group in pack for row in group.rows) > room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return true_loss(model, rows, pack, *more)

    settings = LoopSettings(**{**vars(SETTINGS), "max_tokens": 1024})
    found = Trainer(METHODS["full"](tiny_llama(), {}), ROWS, settings, CheckpointFolder(path), Hooks(look, save_every_s=math.inf))
    true_loss: Any = found.loss
    found.loss = loss  # type: ignore[assignment]
    return found


def test_where_memory_runs_out_packs_are_halved_and_the_step_stays_the_same(tmp_path: Path) -> None:
    roomy = small_memory(tmp_path / "roomy", 10_000)
    wanted = roomy.run()
    AcceleratorState._reset_state(reset_partial_state=True)
    tight = small_memory(tmp_path / "tight", 20)
    with pytest.warns(Notice, match=r"step 2: \d+ tokens at once do not fit into memory; from here on at most \d+, with the same rows"):
        found = tight.run()
    assert wanted.halved == [] and found.halved and found.halved[0][0] == 2 and found.halved[-1][1] <= 20
    assert [loss for _, loss, _ in found.losses] == pytest.approx([loss for _, loss, _ in wanted.losses], rel=1e-4)
    assert (found.tokens, found.labelled_tokens) == (wanted.tokens, wanted.labelled_tokens)
    newest = CheckpointFolder(tmp_path / "tight").newest()
    assert newest is not None and [tuple(pair) for pair in newest.state()["halved"]] == found.halved, "a resume does the same"


def test_a_row_that_does_not_fit_alone_is_named(tmp_path: Path) -> None:
    with (
        pytest.warns(Notice, match="do not fit into memory"),
        pytest.raises(HardwareTooSmall, match=r"one row of \d+ tokens does not fit into memory; lower train\.max_length"),
    ):
        small_memory(tmp_path, 3).run()


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 80000000000 bytes"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_only_memory_counts_as_memory(error: Exception, is_memory: bool) -> None:
    assert out_of_memory(error) is is_memory


def test_this_machine_says_it_in_words_that_are_known() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**60)
    assert out_of_memory(raised.value)


# -- the clock


def test_a_clock_that_jumps_changes_nothing(left_alone: tuple[LoopState, Weights], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(0)
    monkeypatch.setattr(time, "time", lambda: draw.choice([0.0, 1e12]))
    found = trainer(tmp_path)
    found.hooks = Hooks(look, max_seconds=600.0)
    state = found.run()
    assert state.stopped_because is None and 0 < state.seconds < 600 and same(weights(found), left_alone[1])


def test_one_hard_step_among_higher_ones_is_no_explosion() -> None:
    taken = [(k, 1.0, 1.0) for k in range(10)] + [(k, 3.0, 1.0) for k in range(10, 14)]
    assert check_step(None, taken, 30.0, 1.0) is None
    assert "exploded" in (check_step(None, [(k, 30.0 if k > 9 else 1.0, 1.0) for k in range(14)], 30.0, 1.0) or "")
