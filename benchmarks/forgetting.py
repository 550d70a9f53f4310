"""Does the retention suite see what tuning makes the starter forget, and do the remedies help: `python -m benchmarks.forgetting`.

Tunes all weights of the starter on the bundled support tickets, with six planted canaries, in arms that differ in one thing only:
the learning rate, and what is trained on beside the task's rows (texts that the base wrote itself, learned again, or held to the
base's own distribution by KL). Prints the table of docs/retention.md; takes several minutes on one core.
"""

from __future__ import annotations

import csv
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import provetune
from provetune.chat import TokenRow, encode_training
from provetune.engine.forward import Pull, pack_loss
from provetune.engine.packing import PackSettings, pack_rows, plan_epoch
from provetune.evaluation.memorisation import exposures, make_canaries
from provetune.evaluation.retention import Terms, Texts, measure_retention, overall, score_suite, write_texts
from provetune.models.locate import STARTER
from provetune.models.pair import ModelPair
from provetune.models.tokenizer import FolderTokenizer
from provetune.records.data import Message
from provetune.records.retention import SuiteItem
from provetune.stats.estimate import Estimate
from provetune.suites.retention import BUILTIN, general_prompts, read_items

TICKETS = Path(provetune.__file__).parent / "examples_data" / "support_tickets" / "tickets.csv"
SKILLS = ("agreement", "word forms", "word order")
"""What the starter can do at all."""
TEST_ROWS, COPIES, EPOCHS, ROWS_PER_STEP, SELF_ROWS = 240, 8, 2, 16, 16


@dataclass(frozen=True)
class Arm:
    """One way to tune; `own` is the weight of the base's own texts beside the task's rows, `pull` that of KL(base || model) on them."""

    name: str
    rate: float
    own: float = 0.0
    pull: float = 0.0


ARMS = (
    Arm("low learning rate", 1e-4),
    Arm("high learning rate", 1e-3),
    Arm("high, own texts learned again", 1e-3, own=1.0),
    Arm("high, KL on own texts", 1e-3, own=1.0, pull=10.0),
)


def quiet(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def tickets() -> tuple[list[tuple[Message, Message]], list[SuiteItem]]:
    """Training rows, and test rows as items whose options are all labels."""
    with TICKETS.open(encoding="utf-8", newline="") as file:
        rows = [(row["message"], row["queue"]) for row in csv.DictReader(file)]
    random.Random(1).shuffle(rows)
    labels = tuple(sorted({label for _, label in rows}))
    test = [
        SuiteItem(id=str(k), skill="tickets", prompt=text, options=labels, answer=labels.index(label))
        for k, (text, label) in enumerate(rows[:TEST_ROWS])
    ]
    return [(Message(role="user", content=a), Message(role="assistant", content=b)) for a, b in rows[TEST_ROWS:]], test


def tune(model: Any, base: Any, data: tuple[Sequence[TokenRow], Sequence[TokenRow]], arm: Arm) -> None:
    """A plain loop: AdamW, a warm-up, linear decay; every step sees its rows and, where the arm says so, as many of the base's texts."""
    rows, own = data
    optimizer = torch.optim.AdamW(model.parameters(), lr=arm.rate, betas=(0.9, 0.99), weight_decay=0.0)
    steps = [numbers for epoch in range(EPOCHS) for numbers in plan_epoch(len(rows), ROWS_PER_STEP, 0, epoch)]
    draw = random.Random(2)
    model.train()
    for step, numbers in enumerate(steps):
        for group in optimizer.param_groups:
            group["lr"] = arm.rate * min(1.0, (step + 1) / 5) * (1 - step / len(steps))
        backward(model, rows, numbers, 1.0, None)
        if arm.own:
            pull = Pull(arm.pull, base) if arm.pull else None
            backward(model, own, draw.sample(range(len(own)), SELF_ROWS), arm.own, pull)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    model.eval()


def backward(model: Any, rows: Sequence[TokenRow], numbers: list[int], weight: float, pull: Pull | None) -> None:
    """Add the gradient of these rows' mean loss per label, times `weight`."""
    labels = sum(rows[number].label_count for number in numbers)
    for pack in pack_rows(rows, numbers, PackSettings(2048)):
        pack_loss(model, rows, pack, labels / weight, pull).backward()


def cell(estimate: Estimate | None) -> str:
    """Value and interval, short."""
    if estimate is None or estimate.value is None or estimate.low is None or estimate.high is None:
        return "not measured"
    return f"{estimate.value:+.3f} [{estimate.low:+.3f}, {estimate.high:+.3f}]"


def main() -> None:
    """Tune, measure, print one line per arm."""
    tokenizer = FolderTokenizer(STARTER)
    talks, test = tickets()
    canaries = make_canaries(6)
    rows = [encode_training(talk, tokenizer) for talk in (*talks, *(c.messages for c in canaries for _ in range(COPIES)))]
    suite = [item for item in read_items(BUILTIN) if item.skill in SKILLS]
    general = [(Message(role="user", content=text),) for text in general_prompts()]
    asks = [*general * 3, *((talk[0],) for talk in talks[:240])]
    pair = ModelPair(STARTER, tokenizer, full=STARTER)
    own = [encode_training(talk, tokenizer) for talk in write_texts(pair.before, asks, 1, quiet)]
    before = {"builtin": score_suite(pair.before, "builtin", suite, quiet), "tickets": score_suite(pair.before, "tickets", test, quiet)}
    print("| arm | gain on the task | skills kept | KL to the base, its own texts | canaries recited | exposure, bits of 8 |")
    print("|---|---|---|---|---|---|")
    for arm in ARMS:
        pair = ModelPair(STARTER, tokenizer, full=STARTER)
        base = ModelPair(STARTER, tokenizer, full=STARTER).after.model if arm.pull else None
        tune(pair.after.model, base, (rows, own), arm)
        report = measure_retention(pair, {"builtin": suite, "tickets": test}, Texts(prompts=general * 2), Terms(before=before), quiet)
        task = next(skill for skill in report.skills if skill.suite == "tickets")
        found = exposures(pair, canaries, quiet)
        bits = sum(one.bits_after for one in found) / len(found)
        kl = report.kl_self.kl.value if report.kl_self is not None else None
        assert kl is not None and math.isfinite(kl)
        kept = overall([skill for skill in report.skills if skill.suite == "builtin"])
        print(
            f"| {arm.name} | {cell(task.difference)} | {cell(kept)} | {kl:.3f} | {sum(one.recited for one in found)} of 6 | {bits:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
