"""Public rows, and the faults that are planted in them: typing errors, copies, leaks, contradictions."""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from provetune.records.data import Example, Message
from provetune.similarity import normalise
from provetune.spec import TaskSpec

CLASSIFY = TaskSpec(type="classify")
LETTERS = "abcdefghijklmnopqrstuvwxyz"
LEAST = 20
"""Letters in normal form of a row that is copied with typing errors."""


def data_folder() -> Path:
    """The folder of public data sets; ends the program where PROVETUNE_TEST_DATA does not name one."""
    folder = Path(os.environ.get("PROVETUNE_TEST_DATA", "missing"))
    if not folder.is_dir():
        sys.exit(f"PROVETUNE_TEST_DATA names {folder}, wanted the folder that holds banking77 and the other public sets")
    return folder


def public_rows(folder: Path, name: str, part: str = "train") -> list[tuple[str, str]]:
    """(text, label) of banking77, clinc150, snips or hatecheck, which has no test rows.

    Behind the label of snips stand the slots and behind hatecheck's the group it is about, so that a row with other values or about
    another group is no copy; `plain` cuts them off.
    """
    if name == "hatecheck":
        if part == "test":
            return []
        with (folder / name / "test_suite_cases.csv").open(encoding="utf-8", newline="") as file:
            return [(row["test_case"], f"{row['label_gold']}|{row['target_ident']}") for row in csv.DictReader(file)]
    if name == "banking77":
        with (folder / name / f"{part}.csv").open(encoding="utf-8", newline="") as file:
            return [(row["text"], row["category"]) for row in csv.DictReader(file)]
    if name == "clinc150":
        found = json.loads((folder / name / "data_small.json").read_text(encoding="utf-8"))[part]
        return [(text, label) for text, label in found]
    files = sorted((folder / name).glob("*/train_*_full.json" if part == "train" else "*/validate_*.json"))
    return [row for file in files for row in _snips(file)]


def examples(rows: Sequence[tuple[str, str]], name: str = "r") -> list[Example]:
    """Rows as the audit reads them; their ids are the name and the place."""
    return [
        Example(id=f"{name}{place}", label=label, messages=(Message(role="user", content=text), Message(role="assistant", content=label)))
        for place, (text, label) in enumerate(rows)
    ]


def plain(rows: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The rows with what is to be learned as their label: no slots, no groups."""
    return [(text, label.partition("|")[0]) for text, label in rows]


def _snips(file: Path) -> list[tuple[str, str]]:
    content = file.read_bytes()
    try:
        found = json.loads(content.decode("utf-8"))
    except UnicodeDecodeError:  # one of the files is Latin-1
        found = json.loads(content.decode("latin-1"))
    ((intent, rows),) = found.items()
    told = []
    for row in rows:
        slots = [f"{part['entity']}={part['text'].strip().lower()}" for part in row["data"] if "entity" in part]
        told.append(("".join(part["text"] for part in row["data"]), "|".join([intent, *slots])))
    return told


def t0_rows(folder: Path) -> list[tuple[str, str]]:
    """(prompt, completion) of t0_50k, those with an empty one left out."""
    with gzip.open(folder / "t0_50k" / "t0_50k.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    pairs = ((row["prompt"], row["completion"].removesuffix("<|endoftext|>")) for row in rows)
    return [(prompt, completion) for prompt, completion in pairs if prompt.strip() and completion.strip()]


def with_errors(text: str, draw: random.Random) -> str:
    """The text after one or two edits, anywhere: a letter put in, taken out or replaced, or two neighbours swapped."""
    letters = list(text)
    for _ in range(draw.randint(1, 2)):
        place = draw.randrange(len(letters))
        edit = draw.choice(("insert", "delete", "replace", "swap"))
        if edit == "insert":
            letters.insert(place, draw.choice(LETTERS))
        elif edit == "delete" and len(letters) > 1:
            del letters[place]
        elif edit == "replace":
            letters[place] = draw.choice(LETTERS)
        elif place + 1 < len(letters):
            letters[place], letters[place + 1] = letters[place + 1], letters[place]
    return "".join(letters)


def with_wrong_labels(rows: Sequence[tuple[str, str]], share: float, confused: Mapping[str, str]) -> tuple[list[tuple[str, str]], set[int]]:
    """The rows with a share of wrong labels, half of them those that `confused` names, and the places of these rows."""
    draw = random.Random(1)
    labels = sorted({label for _, label in rows})
    wrong = draw.sample(range(len(rows)), int(share * len(rows)))
    changed = list(rows)
    for turn, place in enumerate(wrong):
        text, label = rows[place]
        others = [other for other in labels if other != label]
        changed[place] = (text, confused[label] if turn % 2 == 0 and label in confused else draw.choice(others))
    return changed, set(wrong)


@dataclass(frozen=True)
class Planted:
    """Rows with copies at the end: `source[i]` is the row that row i was made from (itself for an original)."""

    texts: list[str]
    labels: list[str]
    source: list[int]

    def is_true(self, i: int, j: int) -> bool:
        """Whether rows i and j were planted as copies of each other, or of rows with one normal form."""
        return normalise(self.texts[self.source[i]]) == normalise(self.texts[self.source[j]])

    def is_near(self, i: int, j: int) -> bool:
        """Whether the pair is planted, or stood in the data with one label (and one set of slots)."""
        return self.is_true(i, j) or self.labels[i] == self.labels[j]


def with_typo_copies(rows: Sequence[tuple[str, str]], count: int, seed: int) -> Planted:
    """The rows and `count` copies of different rows with typing errors that show in the normal form."""
    draw = random.Random(seed)
    texts, labels = [text for text, _ in rows], [label for _, label in rows]
    source = list(range(len(rows)))
    for row in draw.sample([row for row, text in enumerate(texts) if len(normalise(text)) >= LEAST], count):
        copy = texts[row]
        while normalise(copy) == normalise(texts[row]):
            copy = with_errors(texts[row], draw)
        texts.append(copy)
        labels.append(labels[row])
        source.append(row)
    return Planted(texts, labels, source)
