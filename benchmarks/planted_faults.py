"""Faults planted in public data, and how many of them the audit finds: `python -m benchmarks.planted_faults`.

Prints one table. Also shown: what the audit blocks in the data sets as they are. Wrong labels are planted as a tenth of the labels
changed, half of them to a label often confused with the right one; they are looked for with the small static model beside the data.
"""

from __future__ import annotations

import csv
import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.planted_rows import Planted, data_folder, public_rows, with_typo_copies
from provetune.audit import AuditInput, audit
from provetune.audit.conflicting_labels import conflicting_labels
from provetune.audit.label_errors import find_label_errors
from provetune.models.embedding import embedder
from provetune.personal_data import find
from provetune.records.data import Example, Message
from provetune.similarity import Alike, alike, find_leaks, jaccard, shingles
from provetune.spec import TaskSpec

SETS = ("banking77", "clinc150", "snips")
CLASSIFY = TaskSpec(type="classify")
PLANTED = 600
FORMS = {
    "EMAIL_ADDRESS": "email",
    "PHONE_NUMBER": "phone",
    "CREDIT_CARD": "credit_card",
    "IBAN_CODE": "iban",
    "US_SSN": "us_ssn",
    "IP_ADDRESS": "ip_address",
}
Line = tuple[str, str, int, float | None, float | None]
"""Fault, data set, how many were planted (or stood there), recall, precision."""


def examples(rows: list[tuple[str, str]], name: str = "r") -> list[Example]:
    """Rows as the audit reads them."""
    return [
        Example(id=f"{name}{place}", label=label, messages=(Message(role="user", content=text), Message(role="assistant", content=label)))
        for place, (text, label) in enumerate(rows)
    ]


def typo_lines(folder: Path) -> Iterator[Line]:
    """Copies with one or two edits; precision over the pairs of the second stage, pairs of one label and one set of slots being right."""
    for name in SETS:
        planted = with_typo_copies(public_rows(folder, name), PLANTED, seed=1)
        found = alike(examples(list(zip(planted.texts, planted.labels, strict=True))))
        yield ("copies with 1-2 typing errors", name, PLANTED, _recall(planted, found), _precision(planted, found))


def _recall(planted: Planted, found: Alike) -> float:
    groups = found.groups
    copies = [row for row, source in enumerate(planted.source) if source != row]
    return sum(groups[row] == groups[planted.source[row]] for row in copies) / len(copies)


def _precision(planted: Planted, found: Alike) -> float:
    pairs = found.typos.listed()
    return sum(planted.is_near(i, j) for i, j, _ in pairs) / len(pairs)


def leak_lines(folder: Path) -> Iterator[Line]:
    """Test rows put among the training rows: with other case and punctuation, and a letter longer where J stays at 0.9 or more."""
    for name in SETS:
        draw = random.Random(1)
        train, test = public_rows(folder, name), list(dict.fromkeys(public_rows(folder, name, "test")))
        equal = [(f" {text.upper()} !", label) for text, label in draw.sample(test, 200)]
        longer = [(f"{text}s", label) for text, label in test if jaccard(shingles(text), shingles(f"{text}s")) >= 0.9]
        longer = draw.sample(longer, min(200, len(longer)))
        leaks = find_leaks(examples([*train, *equal, *longer]), examples(test, "t"))
        where = {"equal test rows in training": range(len(train), len(train) + 200)}
        where["test rows of J >= 0.9 in training"] = range(len(train) + 200, len(train) + 200 + len(longer))
        for fault, rows in where.items():
            yield (fault, name, len(rows), sum(f"r{row}" in leaks for row in rows) / len(rows), None)


def conflict_lines(folder: Path) -> Iterator[Line]:
    """Prompts that stand a second time with another label; of prompts that nearly equal no other, so that each is a conflict more."""
    for name in SETS:
        draw = random.Random(1)
        rows = public_rows(folder, name)
        labels = sorted({label for _, label in rows})
        sizes = Counter(groups := alike(examples(rows)).groups)
        chosen = draw.sample([row for row, group in enumerate(groups) if sizes[group] == 1], 200)
        copies = [(rows[row][0].upper(), draw.choice([label for label in labels if label != rows[row][1]])) for row in chosen]
        before, after = _conflicts(rows), _conflicts([*rows, *copies])
        yield ("prompts with a second label", name, 200, (after - before) / 200, None)


def _conflicts(rows: list[tuple[str, str]]) -> int:
    given = examples(rows)
    found = conflicting_labels(AuditInput(given, CLASSIFY, None, None, range(len(given)), alike=alike(given)))
    return sum(finding.count for finding in found)


def personal_lines(folder: Path) -> Iterator[Line]:
    """Kinds told by form in presidio_synth, all 1,500 texts."""
    rows = json.loads((folder / "presidio_synth" / "synth_dataset_v2.json").read_text(encoding="utf-8"))
    there, found, right = Counter[str](), Counter[str](), Counter[str]()
    for row in rows:
        hits = find(row["full_text"])
        spans = [(FORMS[s["entity_type"]], s["start_position"], s["end_position"]) for s in row["spans"] if s["entity_type"] in FORMS]
        there.update(kind for kind, _, _ in spans)
        found.update(hit.kind for hit in hits)
        right.update(hit.kind for hit in hits if any(hit.kind == kind and hit.start < b and a < hit.end for kind, a, b in spans))
    for kind in FORMS.values():
        yield (
            f"personal data: {kind.replace('_', ' ')}",
            "presidio_synth",
            there[kind],
            right[kind] / there[kind],
            right[kind] / found[kind],
        )


def label_lines(folder: Path) -> Iterator[Line]:
    """A tenth of the labels of banking77 changed."""
    draw = random.Random(1)
    rows = public_rows(folder, "banking77")
    labels = sorted({label for _, label in rows})
    words = {label: set(label.lower().split("_")) for label in labels}
    near = {a: max((b for b in labels if b != a), key=lambda b: len(words[a] & words[b]) / len(words[a] | words[b])) for a in labels}
    wrong = set(draw.sample(range(len(rows)), len(rows) // 10))
    given = [
        (text, label if row not in wrong else near[label] if row % 2 else draw.choice([other for other in labels if other != label]))
        for row, (text, label) in enumerate(rows)
    ]
    told = examples(given)
    vectors = embedder(folder.parent / "models" / "static_embedding")
    found = find_label_errors(AuditInput(told, CLASSIFY, None, None, alike(told).groups, embedder=vectors, label_errors=True))
    assert found is not None
    hits = len(wrong & set(found.places))
    yield ("wrong labels (a tenth of all)", "banking77", len(wrong), hits / len(wrong), hits / len(found.places))


def blocked(folder: Path) -> Iterator[str]:
    """What blocks in the data sets as they are, with their own test files."""
    sets = {name: (public_rows(folder, name), public_rows(folder, name, "test")) for name in SETS}
    with (folder / "hatecheck" / "test_suite_cases.csv").open(encoding="utf-8", newline="") as file:
        sets["hatecheck"] = ([(row["test_case"], row["label_gold"]) for row in csv.DictReader(file)], [])
    for name, (train, test) in sets.items():
        if name == "snips":  # its slots are no labels
            train, test = ([(text, label.partition("|")[0]) for text, label in part] for part in (train, test))
        given = examples(train)
        found = alike(given)
        inputs = AuditInput(given, CLASSIFY, None, None, found.groups, examples(test, "t") or None, alike=found)
        blockers = [finding.check for finding in audit(inputs, name).blockers]
        yield f"{name}: {', '.join(blockers) or 'nothing blocks'}"


def main() -> None:
    """Print the table and what blocks."""
    folder = data_folder()
    print("| fault | data | planted | recall | precision |\n|---|---|--:|--:|--:|")
    for lines in (typo_lines, leak_lines, conflict_lines, personal_lines, label_lines):
        for fault, name, count, recall, precision in lines(folder):
            shown = ["-" if value is None else f"{value:.3f}" for value in (recall, precision)]
            print(f"| {fault} | {name} | {count:,} | {shown[0]} | {shown[1]} |", flush=True)
    print("\nThe data sets as they are:")
    for text in blocked(folder):
        print(f"- {text}", flush=True)


if __name__ == "__main__":
    main()
