"""Labels that stand in one of training and test file only."""

from __future__ import annotations

from provetune.audit.inputs import AuditInput, ids_of
from provetune.records.data import Finding

_SHOWN = 10


def unseen_labels(inputs: AuditInput) -> list[Finding]:
    """Labels of the given test file that no training row has (a blocker: they cannot be learned), and the other way round."""
    if inputs.task.type != "classify" or not inputs.test_examples:
        return []
    train = {example.label for example in inputs.examples}
    test = {example.label for example in inputs.test_examples}
    unlearned = sorted(str(label) for label in test - train)
    unproven = sorted(str(label) for label in train - test)
    found = []
    if unlearned:
        rows = [example for example in inputs.test_examples if example.label not in train]
        found.append(
            Finding(
                check="unseen_labels",
                severity="blocker",
                message=f"{_labels(len(unlearned))} in the test file but in no training row: {_named(unlearned)}.",
                count=len(rows),
                observed=float(len(unlearned)),
                threshold=0.0,
                remedy="Add training rows of these labels, or correct the labels of the test file.",
            )
        )
    if unproven:
        rows = [example for example in inputs.examples if example.label not in test]
        found.append(
            Finding(
                check="unseen_labels",
                severity="info",
                message=f"{_labels(len(unproven))} in the training rows but in no row of the test file: {_named(unproven)}. "
                "Whether they are learned will not be proven.",
                count=len(rows),
                example_ids=ids_of(rows),
                observed=float(len(unproven)),
                threshold=0.0,
                remedy="Add test rows of these labels, or leave the proof to a split of the file (remove data.test).",
            )
        )
    return found


def _labels(count: int) -> str:
    return "1 label stands" if count == 1 else f"{count:,} labels stand"


def _named(labels: list[str]) -> str:
    return ", ".join(labels[:_SHOWN]) + (f" and {len(labels) - _SHOWN} more" if len(labels) > _SHOWN else "")
