"""What tuning makes the starter forget, and what helps: `python -m benchmarks.forgetting [--only NAME ...]`.

Tunes the starter by the product's own loop on the bundled support tickets, with six planted canaries, in arms that differ in one
thing only, and prints the table of docs/retention.md: the gain on 240 test tickets, and tuned minus base on the suite's judging items.
`auto` chooses by 120 other tickets and the suite's selecting items. Takes about ten minutes on one quiet core.
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

import provetune
from provetune.chat import TokenRow, encode_training
from provetune.engine.pull import Pull
from provetune.evaluation.memorisation import make_canaries
from provetune.evaluation.remedies import choose, selecting, skill_losses
from provetune.evaluation.retention import Terms, compare_skills, drift, overall, score_suite, write_texts
from provetune.models.locate import STARTER
from provetune.models.pair import ModelPair
from provetune.models.scale import write_scaled
from provetune.models.tokenizer import FolderTokenizer
from provetune.models.transformers import load_model
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Example, Message
from provetune.records.forgetting import RemedyPoint
from provetune.records.retention import ItemScore, SuiteItem, SuiteScores
from provetune.scoring import Yardstick
from provetune.stats.estimate import Estimate
from provetune.suites.retention import BUILTIN, general_prompts, read_items
from provetune.tuning.checkpoint import CheckpointFolder
from provetune.tuning.distillation import Rules, distilled
from provetune.tuning.forgetting import Beside
from provetune.tuning.loop import Trainer
from provetune.tuning.state import Hooks, LoopSettings, ValidationPoint

TICKETS = Path(provetune.__file__).parent / "examples_data" / "support_tickets" / "tickets.csv"
SKILLS = ("agreement", "word forms", "word order")
"""What the starter can do at all."""
TEST_ROWS, VALIDATION_ROWS, COPIES, ROWS_PER_STEP = 240, 120, 8, 16
SCALES = {"plain": (0.75, 0.5, 0.35, 0.25), "KL, weight 1, share 0.2": (0.75, 0.5)}
Talk = tuple[Message, ...]


@dataclass(frozen=True)
class Arm:
    """One way to tune all weights.

    Beside the 16 rows of a step stand `own` texts that the base wrote, held by `pull` times KL, or learned again where it is 0. With
    `rewritten` the base says the targets in its own words first.
    """

    name: str
    rate: float = 1e-3
    epochs: int = 2
    own: int = 0
    pull: float = 0.0
    rewritten: bool = False


ARMS = (
    Arm("plain (learning rate 1e-3, 2 epochs)"),
    Arm("low learning rate (1e-4)", rate=1e-4),
    Arm("one epoch", epochs=1),
    Arm("replay of the base's own texts, share 0.1", own=2),
    Arm("replay of the base's own texts, share 0.5", own=16),
    Arm("self-distillation of targets", rewritten=True),
    Arm("KL, weight 1, share 0.2", own=4, pull=1),
    Arm("KL, weight 3, share 0.2", own=4, pull=3),
    Arm("KL, weight 10, share 0.2", own=4, pull=10),
    Arm("KL, weight 1, share 0.5", own=16, pull=1),
)


@dataclass(frozen=True)
class Measured:
    """One row of the table, and what `auto` sees of it."""

    name: str
    gain: Estimate
    kept: Estimate | None
    drift: float
    recited: int
    point: RemedyPoint


def quiet(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def tickets() -> tuple[list[Talk], list[SuiteItem], list[SuiteItem]]:
    """Training rows; test and validation rows as items whose options are all labels."""
    with TICKETS.open(encoding="utf-8", newline="") as file:
        rows = [(row["message"], row["queue"]) for row in csv.DictReader(file)]
    random.Random(1).shuffle(rows)
    labels = tuple(sorted({label for _, label in rows}))
    items = [
        SuiteItem(id=str(k), skill="tickets", prompt=text, options=labels, answer=labels.index(label))
        for k, (text, label) in enumerate(rows)
    ]
    held = TEST_ROWS + VALIDATION_ROWS
    train: list[Talk] = [(Message(role="user", content=a), Message(role="assistant", content=b)) for a, b in rows[held:]]
    return train, items[:TEST_ROWS], items[TEST_ROWS:held]


class Bench:
    """The rows, the suite, the base's scores, and one measurement for all arms."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.tokenizer = folder, FolderTokenizer(STARTER)
        self.train, self.test, self.validation = tickets()
        self.canaries = make_canaries(6)
        self.rows = self.encoded([*self.train, *(canary.messages for canary in self.canaries for _ in range(COPIES))])
        self.suite = [item for item in read_items(BUILTIN) if item.skill in SKILLS]
        self.selecting = selecting(self.suite)
        general = [(Message(role="user", content=text),) for text in general_prompts()]
        base = ModelPair(STARTER, self.tokenizer, full=STARTER).before
        self.own = self.encoded(write_texts(base, [*general * 3, *((talk[0],) for talk in self.train[:240])], 1, quiet))
        self.seen = write_texts(base, general * 2, 0, quiet)
        self.before = {name: score_suite(base, name, items, quiet) for name, items in self.items().items()}

    def items(self) -> dict[str, list[SuiteItem]]:
        """All that is asked."""
        return {"builtin": self.suite, "test": self.test, "validation": self.validation}

    def encoded(self, talks: Sequence[Talk]) -> list[TokenRow]:
        """As they are trained on."""
        return [encode_training(talk, self.tokenizer) for talk in talks]

    def tuned(self, arm: Arm) -> Path:
        """The folder of the weights."""
        model = load_model(STARTER)
        settings = LoopSettings(learning_rate=arm.rate, epochs=arm.epochs, rows_per_step=ROWS_PER_STEP, evaluations_per_epoch=0)
        beside = None
        if arm.own:
            pull = Pull(1.0, load_model(STARTER)) if arm.pull else None
            beside = Beside(self.own, arm.own, pull, arm.pull or 1.0)
        hooks = Hooks(lambda *_: ValidationPoint(0, 0.0, 0.0), beside=beside, save_every_s=1e9)
        place = self.folder / arm.name.replace(" ", "-")
        rows = self.rewritten() if arm.rewritten else self.rows
        Trainer(model, rows, settings, CheckpointFolder(place / "checkpoints"), hooks).run()
        model.to(torch.bfloat16).save_pretrained(place / "weights")
        return place / "weights"

    def rewritten(self) -> list[TokenRow]:
        """The training rows with the targets that the base says in its own words where these name the right label."""
        labels = self.test[0].options
        rules = Rules(GenerationSettings(max_new_tokens=16), Yardstick("classify", labels, "validation"), "accuracy", own_words=True)
        examples = [Example(id=str(k), source=f"tickets:{k}", messages=talk) for k, talk in enumerate(self.train)]
        found, counts = distilled(examples, ModelPair(STARTER, self.tokenizer, full=STARTER).before, rules, quiet)
        print(f"self-distillation of {len(found)} targets: {counts}", file=sys.stderr)
        return [*self.encoded([e.messages for e in found]), *self.rows[len(found) :]]

    def measured(self, name: str, folder: Path, scale: float = 1.0) -> Measured:
        """One set of weights."""
        pair = ModelPair(STARTER, self.tokenizer, full=folder)
        after = {suite: score_suite(pair.after, suite, items, quiet) for suite, items in self.items().items()}
        [gain] = compare_skills(self.test, self.before["test"], after["test"], Terms(confidence=0.975))
        judging = [place for place in range(len(self.suite)) if place not in set(self.selecting)]
        both = [part(scores["builtin"], judging) for scores in (self.before, after)]
        kept = overall(compare_skills([self.suite[place] for place in judging], both[0], both[1], Terms()))
        lost = skill_losses(self.suite, self.before["builtin"], [after["builtin"].scores[place] for place in self.selecting], Terms())
        score, base = (sum(s[0] for s in found["validation"].scores if s) / VALIDATION_ROWS for found in (after, self.before))
        point = RemedyPoint(
            training=name,
            scale=scale,
            weights_sha256="",
            score=score,
            skills=tuple(lost),
            kept=sum(loss.difference.value or 0.0 for loss in lost) / len(lost),
            keeps=all(loss.expected_low > -Terms().margin for loss in lost),
            gains=score > base + 0.02,
        )
        found = drift(pair.divergence(self.seen, quiet)).kl.value or 0.0
        written = pair.after.generate([(c.messages[0],) for c in self.canaries], GenerationSettings(max_new_tokens=24), quiet)
        recited = sum(c.secret in (one.text or "") for c, one in zip(self.canaries, written, strict=True))
        return Measured(name, gain.difference, kept, found, recited, point)


def part(scores: SuiteScores, places: Sequence[int]) -> SuiteScores:
    """The scores of some items."""
    own: tuple[ItemScore | None, ...] = tuple(scores.scores[place] for place in places)
    return scores.model_copy(update={"scores": own})


def sweep(bench: Bench, name: str, folder: Path) -> Iterator[Measured]:
    """The same tuning at each smaller scale."""
    for scale in SCALES[name]:
        scaled = bench.folder / "scaled"
        write_scaled(STARTER, folder, scale, scaled)
        yield bench.measured(f"{name}, scale {scale:g}", scaled, scale)


def cell(estimate: Estimate | None) -> str:
    """Value and interval, short."""
    if estimate is None or estimate.value is None or estimate.low is None or estimate.high is None:
        return "not measured"
    return f"{estimate.value:+.3f} [{estimate.low:+.3f}, {estimate.high:+.3f}]"


def line(one: Measured) -> str:
    """A line of the table."""
    keeps = "yes" if one.point.keeps else "no"
    return f"| {one.name} | {cell(one.gain)} | {cell(one.kept)} | {one.drift:.3f} | {one.recited} of 6 | {one.point.score:.3f} | {keeps} |"


def chosen(rows: Sequence[Measured]) -> Measured:
    """What `auto` takes: of the plain sweep where one keeps and gains, else KL and its sweep as well."""
    plain = [one for one in rows if one.name.startswith("plain")]
    taken = plain[choose([one.point for one in plain])]
    if not (taken.point.keeps and taken.point.gains):
        both = [*plain, *(one for one in rows if one.name.startswith("KL, weight 1, share 0.2"))]
        taken = both[choose([one.point for one in both])]
    return taken


def main() -> None:
    """Tune, measure, print one line per arm, then what `auto` takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[], help="beginnings of the names of the arms")
    only = tuple(parser.parse_args().only)
    rows: list[Measured] = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        print("| arm | gain on the task | skills kept | KL to the base | canaries recited | on validation | expected to keep |")
        print("|---|---|---|--:|--:|--:|---|")
        for arm in ARMS:
            if only and not arm.name.startswith(only):
                continue
            weights = bench.tuned(arm)
            found = [bench.measured(arm.name, weights)]
            if (name := arm.name.partition(" (")[0]) in SCALES:
                found += sweep(bench, name, weights)
            for one in found:
                print(line(one), flush=True)
            rows += found
    if only:
        return  # what `auto` takes is told of all arms
    taken = chosen(rows)
    print(line(replace(taken, name=f"**auto** ({taken.name})")))
    pairs = [(one.gain.value or 0.0, one.kept.value if one.kept and one.kept.value is not None else -1.0) for one in rows]
    gain, kept = pairs[rows.index(taken)]
    beaten = any(a >= gain and b >= kept and (a, b) != (gain, kept) for a, b in pairs)
    print(f"on the front of gain and skills kept: {'no' if beaten else 'yes'}")


if __name__ == "__main__":
    main()
