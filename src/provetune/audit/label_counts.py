"""How often each label appears."""

from __future__ import annotations

from collections import Counter

from provetune.audit.inputs import AuditInput, ids_of, rows_text
from provetune.records.data import Finding

RARE = 0.1
"""A label is rare below this part of an even share 1/K (the rule of cleanlab's Datalab)."""


def count_labels(inputs: AuditInput) -> dict[str, int]:
    """Label -> number of rows, most frequent first."""
    counts = Counter(example.label for example in inputs.examples if example.label is not None)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def label_counts(inputs: AuditInput) -> list[Finding]:
    """Labels that are missing, seen once, or rare; a blocker where there is nothing to tell apart."""
    if inputs.task.type != "classify" or not inputs.examples:
        return []
    counts = count_labels(inputs)
    if len(counts) < 2:
        return [_nothing_to_tell_apart(inputs, counts)]
    even = 1 / len(counts)
    once = [label for label, count in counts.items() if count == 1]
    rare = [label for label, count in counts.items() if count > 1 and count / sum(counts.values()) < RARE * even]
    found = []
    if once:
        message = f"{_labels_text(len(once))} seen in one row only: {_named(once)}. Such a label can be trained but not proven."
        found.append(_about(inputs, once, message, 1.0))
    if rare:
        message = f"{_labels_text(len(rare))} seen in fewer than {RARE * even:.2%} of the rows (a tenth of an even share): {_named(rare)}."
        found.append(_about(inputs, rare, message, RARE * even))
    return found + _never_seen(inputs, counts)


def _nothing_to_tell_apart(inputs: AuditInput, counts: dict[str, int]) -> Finding:
    seen = f"only the label {next(iter(counts))!r}" if counts else "no label"
    return Finding(
        check="label_counts",
        severity="blocker",
        message=f"The {rows_text(len(inputs.examples))} carry {seen}; a classifier needs at least two labels to tell apart.",
        count=len(inputs.examples),
        example_ids=ids_of(inputs.examples),
        observed=float(len(counts)),
        threshold=2.0,
        remedy="Check data.columns.target in the project file, or add rows of other labels.",
    )


def _about(inputs: AuditInput, labels: list[str], message: str, threshold: float) -> Finding:
    chosen = set(labels)
    rows = [example for example in inputs.examples if example.label in chosen]
    return Finding(
        check="label_counts",
        severity="warning",
        message=message,
        count=len(labels),
        example_ids=ids_of(rows),
        observed=float(len(rows)),
        threshold=threshold,
        remedy="Add rows of these labels (about 20 each to begin with), or merge them into a neighbouring label.",
    )


def _never_seen(inputs: AuditInput, counts: dict[str, int]) -> list[Finding]:
    """Labels that the project file names and no row has."""
    if inputs.task.labels == "auto":
        return []
    unseen = sorted(set(inputs.task.labels) - counts.keys())
    message = f"{_labels_text(len(unseen))} named in task.labels but seen in no row: {_named(unseen)}."
    return [_about(inputs, unseen, message, 1.0)] if unseen else []


def _labels_text(count: int) -> str:
    return "1 label is" if count == 1 else f"{count:,} labels are"


def _named(labels: list[str], most: int = 10) -> str:
    return ", ".join(labels[:most]) + (f" and {len(labels) - most} more" if len(labels) > most else "")
