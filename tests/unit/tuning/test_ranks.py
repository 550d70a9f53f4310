"""Several ranks take the steps of one, whatever their number; what differs is an error."""

from __future__ import annotations

import json
import os
import socket
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file, save_file
from torch import distributed

from provetune.engine.likelihood import mean_nats
from provetune.engine.packing import PackSettings, pack_rows
from provetune.errors import RunFailed
from provetune.tuning.checkpoint import CheckpointFolder
from provetune.tuning.loop import Trainer
from provetune.tuning.methods import METHODS
from provetune.tuning.ranks import Ranks, connection, join, leave
from provetune.tuning.state import Hooks, LoopSettings, LoopState, ValidationPoint
from tests.models import random_rows, tiny_llama

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

ROWS = random_rows([9, 14, 6, 11, 17, 8, 12, 5, 10, 13])
VALIDATION = random_rows([8, 11], seed=1)
SETTINGS = LoopSettings(learning_rate=0.01, epochs=2, rows_per_step=4, max_tokens=30, weight_decay=0.01, seed=5, packs=3)
LORA: dict[str, float | int | str] = {"r": 4, "alpha": 8, "dropout": 0.1, "targets": "q_proj, down_proj"}
Work = Callable[[Ranks], None]


@pytest.fixture(autouse=True)
def fresh_accelerator() -> Iterator[None]:
    """accelerate keeps its precision for the whole process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def one_rank(rank: int, count: int, port: int, work: Work) -> None:
    """What torchrun gives a process, then the work, then the end of the process."""
    code = 1
    try:
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
        os.environ |= {"LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
        AcceleratorState._reset_state(reset_partial_state=True)
        work(join())
        leave()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def on_ranks(count: int, work: Work) -> list[int]:
    """The exit codes of `count` children that do the work together."""
    port, children = free_port(), []
    for rank in range(count):
        child = os.fork()
        if child == 0:
            one_rank(rank, count, port, work)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def look(model: Any, step: int) -> ValidationPoint:
    nats = mean_nats(model, VALIDATION)
    return ValidationPoint(step, nats, -nats)


def trainer(path: Path, ranks: Ranks, method: str, progress: Callable[[LoopState, int], None] = lambda state, total: None) -> Trainer:
    model = tiny_llama()
    torch.manual_seed(1 + ranks.rank)  # each draws another start
    model = METHODS[method](model, LORA)
    return Trainer(model, ROWS, SETTINGS, CheckpointFolder(path), Hooks(look, progress, save_every_s=-1, ranks=ranks))


def train(path: Path, method: str, stop_at: int | None = None) -> Work:
    """Train to the end, or until all ranks die at one step; every rank leaves its weights and history behind."""

    def work(ranks: Ranks) -> None:
        def progress(state: LoopState, total: int) -> None:
            if state.step == stop_at:
                os._exit(7)

        found = trainer(path, ranks, method, progress)
        state = found.run()
        (path / f"rank-{ranks.rank}.json").write_text(
            json.dumps([state.losses, [[p.step, p.loss] for p in state.validation], state.resumed])
        )
        save_file({name: p.detach().contiguous() for name, p in found.trainable.items()}, path / f"rank-{ranks.rank}.safetensors")

    return work


def losses(path: Path, rank: int = 0) -> list[tuple[int, float, float]]:
    return [tuple(point) for point in json.loads((path / f"rank-{rank}.json").read_text())[0]]


@pytest.fixture(scope="module", params=["full", "lora"])
def alone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """(method, folder) of a training by one process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    path = tmp_path_factory.mktemp("alone")
    train(path, request.param)(Ranks())
    return request.param, path


def assert_same_end(path: Path, alone: Path, count: int) -> None:
    wanted, weights = losses(alone), load_file(alone / "rank-0.safetensors")
    for rank in range(count):
        found = losses(path, rank)
        assert [point[0] for point in found] == [point[0] for point in wanted]
        assert max(abs(a[1] - b[1]) for a, b in zip(found, wanted, strict=True)) < 1e-5, "loss trajectory"
        assert max(abs(a[2] - b[2]) for a, b in zip(found, wanted, strict=True)) < 1e-4, "norm of the gradient"
        mine = load_file(path / f"rank-{rank}.safetensors")
        assert max(float((mine[name] - weights[name]).abs().max()) for name in weights) < 1e-3
        assert all(torch.equal(mine[name], value) for name, value in load_file(path / "rank-0.safetensors").items()), "bit for bit"


@pytest.mark.parametrize("count", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_the_losses_of_several_ranks_are_those_of_one(alone: tuple[str, Path], tmp_path: Path, count: int) -> None:
    method, path = alone
    assert on_ranks(count, train(tmp_path, method)) == [0] * count
    assert_same_end(tmp_path, path, count)
    assert len(list(tmp_path.glob("step-*"))) == 2, "the first rank alone writes"


@pytest.mark.parametrize("count", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_saved_by_two_gone_on_by_another_number(alone: tuple[str, Path], tmp_path: Path, count: int) -> None:
    method, path = alone
    assert on_ranks(2, train(tmp_path, method, stop_at=3)) == [7, 7]
    saved = CheckpointFolder(tmp_path).newest()
    assert saved is not None and saved.step == 3
    assert on_ranks(count, train(tmp_path, method)) == [0] * count
    assert_same_end(tmp_path, path, count)
    assert json.loads((tmp_path / "rank-0.json").read_text())[2] == 1, "it was gone on with, not begun anew"


def test_without_a_sum_of_gradients_the_ranks_are_stopped(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def work(ranks: Ranks) -> None:
        found = trainer(tmp_path, ranks, "lora")
        object.__setattr__(found, "ranks", _Deaf(ranks.rank, ranks.count))
        found.run()

    assert on_ranks(2, work) == [1, 1]
    assert "ranks hold different weights" in capfd.readouterr().err


class _Deaf(Ranks):
    """Ranks that forget to sum gradients."""

    def sum_gradients(self, trained: Any) -> None:
        pass


def test_memory_that_runs_out_on_one_rank_halves_the_packs_of_all(tmp_path: Path) -> None:
    def work(ranks: Ranks) -> None:
        found = trainer(tmp_path, ranks, "full")
        found.settings = replace(SETTINGS, packs=1)
        true_loss = found.loss
        failed: list[bool] = []

        def loss(*given: Any) -> Any:
            if ranks.rank == 1 and found.state.step == 1 and not failed:
                failed.append(True)
                raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")
            return true_loss(*given)

        found.loss = loss  # type: ignore[assignment]
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            state = found.run()
        assert [step for step, _ in state.halved] == [1] and any("do not fit into memory" in str(one.message) for one in said)
        (tmp_path / f"rank-{ranks.rank}.json").write_text(json.dumps([state.losses]))

    assert on_ranks(2, work) == [0, 0]
    assert losses(tmp_path, 0) == losses(tmp_path, 1)


def test_the_connection_is_read_back() -> None:
    def work(ranks: Ranks) -> None:
        assert connection() == {"ranks": 2, "sharing": "data parallel, gloo"} and ranks.count == 2
        os.environ["WORLD_SIZE"] = "3"
        with pytest.raises(RunFailed, match="found 2 of 2 ranks connected through gloo, wanted 3 through gloo"):
            join()

    assert on_ranks(2, work) == [0, 0]
    assert not distributed.is_initialized() and connection() == {} and join() == Ranks()


def test_every_pack_has_one_rank_and_loads_are_even() -> None:
    rows = random_rows([30, 4, 9, 9, 9, 8, 30, 2, 7])
    lengths = [len(row) for row in rows]
    packs = pack_rows(rows, range(len(rows)), PackSettings(30, share=False))
    for count in (1, 2, 3, 20):
        parts = [Ranks(rank, count).mine(packs, lengths) for rank in range(count)]
        assert sorted(number for part in parts for number, _ in part) == list(range(len(packs)))
        assert all(packs[number] == pack for part in parts for number, pack in part)
    tokens = [
        sum(lengths[row] for _, pack in Ranks(rank, 2).mine(packs, lengths) for group in pack for row in group.rows) for rank in (0, 1)
    ]
    assert abs(tokens[0] - tokens[1]) <= 30


def test_a_step_is_cut_into_as_many_packs_as_are_asked_for(tmp_path: Path) -> None:
    found = trainer(tmp_path, Ranks(), "full")
    taken: list[int] = []
    true_loss = found.loss

    def loss(*given: Any) -> Any:
        taken.append(found.state.step)
        return true_loss(*given)

    found.loss = loss  # type: ignore[assignment]
    found.settings = replace(SETTINGS, max_tokens=10_000)
    found.run()
    assert all(taken.count(step) >= min(3, len(ROWS) - 4 * (step % 3)) for step in range(6))
