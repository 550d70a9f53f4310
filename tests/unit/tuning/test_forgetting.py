"""Training beside the task: the gradient against a plain loop, a kill, and whether the base is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import kl_div

from provetune.engine.divergence import row_divergence
from provetune.engine.packing import plan_epoch
from provetune.engine.pull import Pull
from provetune.errors import DataError
from provetune.models.tokenizer import FolderTokenizer
from provetune.records.data import Message
from provetune.tuning.checkpoint import CheckpointFolder
from provetune.tuning.forgetting import Beside, BesideTexts, drawn_from
from provetune.tuning.loop import Trainer
from provetune.tuning.state import Hooks, learning_rate_at
from tests.models import random_rows, relative_error, tiny_llama
from tests.unit.records_by_hand import LABELS, examples_of
from tests.unit.tuning.test_loop import ROWS, SETTINGS, Killed, fresh_accelerator, kill_at, look, same, start, weights

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
__all__ = ["fresh_accelerator"]
OWN = random_rows([7, 12, 9, 15, 6], seed=9)


def run(folder: Path, method: str, beside: Beside | None, stop_at: int | None = None) -> Trainer:
    hooks = Hooks(look, kill_at(stop_at) if stop_at else (lambda state, total: None), save_every_s=-1, beside=beside)
    found = Trainer(start(method), ROWS, SETTINGS, CheckpointFolder(folder), hooks)
    found.run()
    return found


def plain_loop(beside: Beside, steps: int) -> list[torch.Tensor]:
    """The same steps by the library's own losses; each gradient is clipped apart, then they are added."""
    model: Any = tiny_llama()
    base: Any = beside.pull.base if beside.pull else None
    parameters = list(model.parameters())
    groups = [[p for p in parameters if (p.ndim >= 2) == two] for two in (True, False)]
    optimizer = torch.optim.AdamW(
        [{"params": groups[0], "weight_decay": 0.01}, {"params": groups[1], "weight_decay": 0.0}], betas=SETTINGS.betas
    )
    for step, numbers in enumerate(plan_epoch(len(ROWS), 3, SETTINGS.seed, 0)[:steps]):
        clipped = []
        for rows, pull in (([ROWS[number] for number in numbers], None), ([OWN[n] for n in beside.numbers(5, step)], beside.pull)):
            optimizer.zero_grad()
            labels = sum(row.label_count for row in rows)
            loss = torch.zeros(())
            for row in rows:
                ids, at = torch.from_numpy(row.ids)[None], torch.from_numpy(row.labelled[1:])
                logs = model(ids).logits[0, :-1][at].log_softmax(-1)
                if pull is None:
                    loss = loss - logs.gather(1, ids[0, 1:][at][:, None]).sum() / labels
                else:
                    before = base(ids).logits[0, :-1][at].log_softmax(-1).detach()
                    loss = loss + pull.weight * kl_div(logs, before, log_target=True, reduction="sum") / labels
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            clipped.append([torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in parameters])
        for parameter, one, two in zip(parameters, *clipped, strict=True):
            parameter.grad = one + beside.weight * two
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, 8, SETTINGS)
        optimizer.step()
    return [p.detach() for p in parameters]


@pytest.mark.parametrize("weight", [0.0, 30.0])
def test_the_steps_of_a_plain_loop(tmp_path: Path, weight: float) -> None:
    base = tiny_llama(seed=1)  # another one: the gradient at the base itself is rounding noise, of which Adam makes whole steps
    beside = Beside(OWN, 2, Pull(weight, base) if weight else None, weight=0.5)
    hooks = Hooks(look, kill_at(3), beside=beside)
    ours = Trainer(start("full"), ROWS, SETTINGS, CheckpointFolder(tmp_path), hooks)
    with pytest.raises(Killed):
        ours.run()
    theirs = plain_loop(beside, 3)
    assert max(relative_error(a, b) for a, b in zip(ours.model.parameters(), theirs, strict=True)) < 1e-3
    assert not same(weights(ours), weights(run(tmp_path / "alone", "full", None)))


def test_a_killed_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    beside = Beside(OWN, 2, Pull(2.0))
    whole = weights(run(tmp_path / "whole", "lora", beside))
    with pytest.raises(Killed):
        run(tmp_path / "killed", "lora", beside, stop_at=5)
    again = run(tmp_path / "killed", "lora", beside)
    assert again.state.resumed == 1 and same(weights(again), whole)
    with pytest.raises(Killed):
        run(tmp_path / "other", "lora", beside, stop_at=5)
    with pytest.warns(UserWarning, match="other rows, settings"):
        fresh = run(tmp_path / "other", "lora", Beside(OWN, 2, Pull(3.0)))
    assert fresh.state.resumed == 0


def test_the_pull_keeps_the_model_near_its_base(tmp_path: Path) -> None:
    far, near = (run(tmp_path / name, "full", one).model for name, one in (("a", None), ("b", Beside(OWN, 5, Pull(30.0, tiny_llama())))))
    moved = [sum(float(one.kl.sum()) for one in row_divergence(model, OWN, tiny_llama())) for model in (far, near)]
    assert moved[1] < moved[0] / 3


def test_each_text_is_seen_before_one_is_seen_again() -> None:
    beside = Beside(OWN, 3)
    seen = [number for step in range(10) for number in beside.numbers(1, step)]
    assert all(sorted(seen[start : start + 5]) == list(range(5)) for start in range(0, 30, 5))
    assert seen != [number for step in range(10) for number in beside.numbers(2, step)]


def test_texts_that_do_not_fit_are_left_out_and_counted(tiny_tokenizer: FolderTokenizer) -> None:
    talks = [(Message(role="user", content="hello"), Message(role="assistant", content="x" * length)) for length in (5, 5000)]
    texts = BesideTexts(talks, 0.5, pull=2.0)
    found = texts.encoded(tiny_tokenizer, 8, None)
    assert len(found.rows) == 1 and found.rows_per_step == 8 and found.pull == Pull(1.0) and found.weight == 2
    assert BesideTexts(talks, 0.5).encoded(tiny_tokenizer, 8, None).pull is None
    with pytest.raises(DataError, match="none of which fits"):
        BesideTexts(talks[1:], 0.5).encoded(tiny_tokenizer, 8, None)


def test_earlier_tasks_are_drawn_from_alike() -> None:
    earlier = [
        [e.model_copy(update={"id": f"{release} {e.id}"}) for e in examples_of([LABELS[0]] * size)] for release, size in ((1, 4), (2, 40))
    ]
    found = drawn_from(earlier, 10, seed=3)
    assert [sum(e.id.startswith(release) for e in found) for release in "12"] == [4, 6]
    assert len({e.id for e in found}) == 10 and found == drawn_from(earlier, 10, seed=3) != drawn_from(earlier, 10, seed=4)
    assert len(drawn_from(earlier, 1000, seed=3)) == 44 and drawn_from([], 5, seed=3) == []
