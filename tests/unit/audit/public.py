"""Rows of public data sets, and vectors of the shared static model."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np

from provetune.audit import AuditInput
from provetune.models.embedding import embedder
from provetune.protocols import Embedder
from provetune.records.data import Example
from provetune.similarity import example_groups
from tests.unit.audit.rows import CLASSIFY, example


def static(folder: Path) -> Embedder:
    return embedder(folder.parent / "models" / "static_embedding")


def banking(folder: Path, name: str = "train") -> list[Example]:
    with (folder / "banking77" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return [example(number, row["text"], row["category"]) for number, row in enumerate(csv.DictReader(file), start=2)]


def clinc(folder: Path) -> list[Example]:
    rows = json.loads((folder / "clinc150" / "data_small.json").read_text(encoding="utf-8"))["train"]
    return [example(20_000 + number, text, label) for number, (text, label) in enumerate(rows)]


def hatecheck(folder: Path) -> list[Example]:
    with (folder / "hatecheck" / "test_suite_cases.csv").open(encoding="utf-8", newline="") as file:
        return [example(int(row["case_id"]), row["test_case"], row["label_gold"]) for row in csv.DictReader(file)]


def asked(rows: list[Example], vectors: Embedder, test: list[Example] | None = None) -> AuditInput:
    return AuditInput(rows, CLASSIFY, None, None, example_groups(rows), test, embedder=vectors, label_errors=True)


def with_wrong_labels(rows: list[Example], share: float, seed: int, confused: dict[str, list[str]]) -> tuple[list[Example], set[str]]:
    """The rows with a share of wrong labels, half of them ones that a classifier confuses; and the ids of the wrong ones."""
    rng = np.random.default_rng(seed)
    names = sorted({str(row.label) for row in rows})
    changed, wrong = list(rows), set()
    for turn, place in enumerate(rng.choice(len(rows), int(share * len(rows)), replace=False).tolist()):
        row = rows[place]
        likely = confused.get(str(row.label), []) if turn % 2 == 0 else []
        label = str(rng.choice(likely or [name for name in names if name != row.label]))
        changed[place] = example(int(row.id[1:]), row.prompt_text, label)
        wrong.add(row.id)
    return changed, wrong
