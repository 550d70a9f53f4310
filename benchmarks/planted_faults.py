"""Faults planted in public data, and how many of them the audit finds: `python -m benchmarks.planted_faults`.

Prints the table of docs/planted-faults.md, which says how each fault is planted and what counts as found, and what the audit blocks
in the data sets as they are. Ends with 1 where a figure is missed or something blocks.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.label_errors import confusions, ours
from benchmarks.planted_rows import CLASSIFY, Planted, data_folder, examples, plain, public_rows, with_typo_copies, with_wrong_labels
from provetune.audit import AuditInput, audit
from provetune.audit.conflicting_labels import conflicting_labels
from provetune.personal_data import find
from provetune.similarity import Pairs, alike, find_leaks, jaccard, normalise, shingles

WITH_TEST = ("banking77", "clinc150", "snips")
SETS = (*WITH_TEST, "hatecheck")
PLANTED = 600
FORMS = {
    "EMAIL_ADDRESS": "email",
    "PHONE_NUMBER": "phone",
    "CREDIT_CARD": "credit_card",
    "IBAN_CODE": "iban",
    "US_SSN": "us_ssn",
    "IP_ADDRESS": "ip_address",
}
WANTED = {"typing": (0.95, 0.95), "wrong": (0.75, 0.5), "personal": (0.95, 0.8)}
"""Least recall and precision by the first word of a fault; of all other faults every one must be found."""
Line = tuple[str, str, int, float | None, float | None]
"""Fault, data set, how many were planted (or stood there), recall, precision."""


def typo_lines(folder: Path) -> Iterator[Line]:
    """Copies with one or two edits: found are those in one group with their source; precision is that of the pairs told as slips.

    A second line gives the precision of all pairs that differ, those of J >= 0.8 included.
    """
    for name in SETS:
        planted = with_typo_copies(public_rows(folder, name), PLANTED, seed=1)
        found = alike(examples(list(zip(planted.texts, planted.labels, strict=True))))
        groups = found.groups
        copies = [row for row, source in enumerate(planted.source) if source != row]
        recall = sum(groups[row] == groups[planted.source[row]] for row in copies) / len(copies)
        yield ("typing errors: one or two in a copy", name, PLANTED, recall, _precision(planted, found.typos))
        yield ("all pairs, J >= 0.8 included", name, PLANTED, None, _precision(planted, found.typos, found.near))


def _precision(planted: Planted, *parts: Pairs) -> float:
    pairs = {(i, j) for part in parts for i, j, _ in part.listed() if normalise(planted.texts[i]) != normalise(planted.texts[j])}
    return sum(planted.is_near(i, j) for i, j in pairs) / len(pairs)


def leak_lines(folder: Path) -> Iterator[Line]:
    """Test rows put among the training rows: with other case and punctuation, and a letter longer where J stays at 0.9 or more."""
    for name in WITH_TEST:
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
        rows = plain(public_rows(folder, name))
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
    """Kinds told by form in presidio_synth, all 1,500 texts; a hit is right where it overlaps a marked place of its kind."""
    rows = json.loads((folder / "presidio_synth" / "synth_dataset_v2.json").read_text(encoding="utf-8"))
    there, seen, found, right = (Counter[str]() for _ in range(4))
    for row in rows:
        hits = [(hit.kind, hit.start, hit.end) for hit in find(row["full_text"])]
        spans = [(FORMS[s["entity_type"]], s["start_position"], s["end_position"]) for s in row["spans"] if s["entity_type"] in FORMS]
        there.update(kind for kind, _, _ in spans)
        seen.update(span[0] for span in spans if any(_overlap(span, hit) for hit in hits))
        found.update(kind for kind, _, _ in hits)
        right.update(hit[0] for hit in hits if any(_overlap(span, hit) for span in spans))
    for kind in FORMS.values():
        told = f"personal data: {kind.replace('_', ' ')}"
        yield (told, "presidio_synth", there[kind], seen[kind] / there[kind], right[kind] / found[kind])


def _overlap(a: tuple[str, int, int], b: tuple[str, int, int]) -> bool:
    return a[0] == b[0] and a[1] < b[2] and b[1] < a[2]


def label_lines(folder: Path) -> Iterator[Line]:
    """A tenth of the labels changed, half of them to the label that is most often taken for the right one."""
    find_wrong = ours(folder)
    for name in SETS:
        rows = plain(public_rows(folder, name))
        given, wrong = with_wrong_labels(rows, 0.1, confusions(rows, find_wrong(rows)))
        found = find_wrong(given)
        hits = len(wrong & set(found))
        yield ("wrong labels: a tenth of all", name, len(wrong), hits / len(wrong), hits / len(found))


def blocked(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """What blocks in the data sets as they are, with their own test files."""
    for name in SETS:
        train, test = (examples(plain(public_rows(folder, name, part)), part) for part in ("train", "test"))
        found = alike(train)
        inputs = AuditInput(train, CLASSIFY, None, None, found.groups, test or None, alike=found)
        yield name, [finding.check for finding in audit(inputs, name).blockers]


def main() -> None:
    """Print the table and what blocks."""
    folder = data_folder()
    missed = False
    print("| fault | data | planted | recall | precision |\n|---|---|--:|--:|--:|")
    for lines in (typo_lines, leak_lines, conflict_lines, personal_lines, label_lines):
        for fault, name, count, *found in lines(folder):
            least = WANTED.get(fault.split()[0], (1.0, 0.0))
            low = any(value is not None and value < wanted for value, wanted in zip(found, least, strict=True))
            missed |= low
            shown = " | ".join("-" if value is None else f"{value:.3f}" for value in found)
            print(f"| {fault} | {name} | {count:,} | {shown} |{' missed' * low}", flush=True)
    print("\nThe data sets as they are:")
    for name, blockers in blocked(folder):
        missed |= bool(blockers)
        print(f"- {name}: {', '.join(blockers) or 'nothing blocks'}", flush=True)
    sys.exit(missed)


if __name__ == "__main__":
    main()
