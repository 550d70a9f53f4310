"""Search against a whole grid: `python -m benchmarks.search [--only banking77|snips]`.

Tunes the starter with LoRA on 900 rows of Banking77 (its first 20 labels) and of SNIPS (its seven intents). A grid of 24 configurations is
trained whole; the search sees the same ranges and 10 configurations. Each picks by 150 validation rows; both picks are then measured on the
same test rows. Prints one row of the table of docs/search.md per data set. About an hour on one quiet core; goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.work import BUILD, data_folder
from provetune.hashing import fingerprint
from provetune.models.locate import STARTER
from provetune.models.tokenizer import FolderTokenizer, model_ref
from provetune.models.transformers import TransformersGenerator, load_model
from provetune.planning.search import Job, SearchRequest, search
from provetune.records.candidate import Candidate, GenerationSettings, Prompt
from provetune.records.data import Example, Message
from provetune.records.tuning_search import TuningTrial, Values
from provetune.scoring import Yardstick, measure
from provetune.stats.binary import bonett_price
from provetune.tuning import TuneRequest, tune

ROWS, VALIDATION_ROWS, TEST_ROWS, TRIALS = 900, 150, 2000, 10
RATES, EPOCHS, RANKS = (5e-4, 1.5e-3, 5e-3, 1.5e-2), (1, 2), (4, 8, 16)
START: Values = {
    "learning_rate": 3e-3,
    "epochs": 2,
    "batch_size": 16,
    "max_length": 256,
    "patience": 0,
    "r": 8,
    "alpha": 16,
    "dropout": 0.0,
    "targets": "all-linear",
}


def quiet(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def banking77(data: Path) -> list[tuple[str, str]]:
    """(message, label) of the first 20 labels, both files."""
    found = []
    for name in ("train.csv", "test.csv"):
        with (data / "banking77" / name).open(encoding="utf-8", newline="") as lines:
            found += [(row["text"], row["category"].replace("_", " ")) for row in csv.DictReader(lines)]
    kept = set(sorted({label for _, label in found})[:20])
    return [row for row in found if row[1] in kept]


def snips(data: Path) -> list[tuple[str, str]]:
    """(request, intent)."""
    found = []
    for file in sorted((data / "snips").glob("*/train_*_full.json")):
        ((intent, rows),) = json.loads(file.read_bytes().decode("utf-8", errors="replace")).items()
        found += [("".join(part["text"] for part in row["data"]), intent) for row in rows]
    return found


class Bench:
    """The rows of one data set, and every training of it, made once."""

    def __init__(self, name: str) -> None:
        rows = sorted(set({"banking77": banking77, "snips": snips}[name](data_folder())))
        random.Random(0).shuffle(rows)
        self.folder = BUILD / "search" / name
        self.labels = tuple(sorted({label for _, label in rows}))
        examples = [
            Example(id=str(k), messages=(Message(role="user", content=a), Message(role="assistant", content=b)), label=b)
            for k, (a, b) in enumerate(rows)
        ]
        held = VALIDATION_ROWS + TEST_ROWS
        self.validation, self.test, self.train = examples[:VALIDATION_ROWS], examples[VALIDATION_ROWS:held], examples[held:][:ROWS]
        self.tokenizer = FolderTokenizer(STARTER)
        self.candidate = Candidate(
            name="tuned",
            kind="adapter",
            prompt=Prompt(strategy="plain"),
            generation=GenerationSettings(max_new_tokens=16, choices=self.labels),
        )

    def trained(self, job: Job) -> TuningTrial:
        """One training; its adapter stays under `adapter_of`."""
        place = self.place(job)
        if not (place / "trial.json").is_file():
            shutil.rmtree(place, ignore_errors=True)
            run = tune(
                TuneRequest(
                    method="lora",
                    base_folder=STARTER,
                    model=model_ref(STARTER, "starter", "main", self.tokenizer),
                    tokenizer=self.tokenizer,
                    template=self.candidate,
                    train=self.train[: job.rows],
                    validation=self.validation,
                    yardstick=Yardstick("classify", self.labels, "validation"),
                    metric="accuracy",
                    hyperparameters=job.values,
                    seed=job.seed,
                    checkpoints=place / "checkpoints",
                    out=place / "weights",
                    max_seconds=float("inf"),
                    environment={},
                    progress=quiet,
                )
            )
            shutil.rmtree(place / "checkpoints")
            best = next(point for point in run.validation if point.step == run.best_step)
            found: dict[str, Any] = {"score": best.score, "loss": best.loss, "tokens": run.tokens_seen, "seconds": run.duration_s}
            (place / "trial.json").write_text(json.dumps(found))
            print(self.folder.name, job.rows, {key: job.values[key] for key in ("learning_rate", "epochs", "r")}, found, flush=True)
        return TuningTrial(**vars(job), state="done", **json.loads((place / "trial.json").read_text()))

    def place(self, job: Job) -> Path:
        """Where a training is kept."""
        return self.folder / fingerprint([job.values, job.rows, job.seed, ROWS, VALIDATION_ROWS])

    def right(self, values: Values) -> list[bool]:
        """Of each test row, whether the adapter trained on all rows names its label."""
        model = load_model(STARTER, self.place(Job(0, 0, len(self.train), 1, values)) / "weights")
        found, _ = measure(
            self.candidate, TransformersGenerator(model, self.tokenizer), self.test, Yardstick("classify", self.labels, "test"), quiet
        )
        return [row is not None and row[0] == 1 for row in found.observations["accuracy"]]


def grid() -> list[Values]:
    """Every combination."""
    return [
        {**START, "learning_rate": rate, "epochs": epochs, "r": rank, "alpha": 2 * rank}
        for rate, epochs, rank in itertools.product(RATES, EPOCHS, RANKS)
    ]


def row(name: str) -> str:
    """The row of the table."""
    bench = Bench(name)
    space: dict[str, list[float | int | str]] = {"learning_rate": [RATES[0], RATES[-1]], "epochs": [*EPOCHS], "lora.r": [*RANKS]}
    journal = bench.folder / "journal.log"
    request = SearchRequest("lora", "accuracy", START, space, TRIALS, len(bench.train), 1, lambda _: "", bench.trained, journal)
    found = search(request)
    whole = [bench.trained(Job(k, 0, len(bench.train), 1, values)) for k, values in enumerate(grid())]
    best = min(whole, key=lambda trial: (-(trial.score or 0.0), trial.loss or 0.0))
    ours, theirs = bench.right(found.winner), bench.right(best.values)
    pairs = list(zip(theirs, ours, strict=True))
    difference = bonett_price(sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs), len(pairs))
    return cells(name, found.trials, whole, (sum(theirs) / len(theirs), sum(ours) / len(ours)), difference)


def cells(name: str, tried: Sequence[TuningTrial], whole: Sequence[TuningTrial], accuracy: tuple[float, float], difference: Any) -> str:
    """One line of Markdown."""
    tokens = sum(trial.tokens for trial in tried) / sum(trial.tokens for trial in whole)
    seconds = sum(trial.seconds for trial in tried) / sum(trial.seconds for trial in whole)
    shown = f"{difference.value:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"
    counts = f"{len(whole)} | {len({trial.number for trial in tried})} in {len(tried)} trainings"
    return f"| {name} | {counts} | {accuracy[0]:.3f} | {accuracy[1]:.3f} | {shown} | {tokens:.2f} | {seconds:.2f} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["banking77", "snips"], action="append")
    names = parser.parse_args().only or ["banking77", "snips"]
    rows = [row(name) for name in names]
    print("| data | grid | search | accuracy of the grid's pick | of the search's | grid minus search, 95 % | tokens | seconds |")
    print("|---|---|---|---|---|---|---|---|\n" + "\n".join(rows))


if __name__ == "__main__":
    main()
