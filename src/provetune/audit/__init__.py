"""Review of a data set before anything is trained: one check a file, one signature for all."""

from __future__ import annotations

from dataclasses import replace

from provetune.audit.conflicting_labels import conflicting_labels
from provetune.audit.exact_duplicates import exact_duplicates
from provetune.audit.format import format_faults
from provetune.audit.inputs import AuditInput, Check, EncodedRow
from provetune.audit.label_counts import count_labels, label_counts
from provetune.audit.leaked_test_rows import leaked_test_rows
from provetune.audit.lengths import lengths, profile_tokens
from provetune.audit.loss_mask import loss_mask
from provetune.audit.near_duplicates import near_duplicates
from provetune.audit.size import size
from provetune.records.data import AuditReport

__all__ = ["CHECKS", "AuditInput", "Check", "EncodedRow", "audit"]

CHECKS: dict[str, Check] = {
    "size": size,
    "format": format_faults,
    "exact_duplicates": exact_duplicates,
    "near_duplicates": near_duplicates,
    "conflicting_labels": conflicting_labels,
    "leaked_test_rows": leaked_test_rows,
    "label_counts": label_counts,
    "lengths": lengths,
    "loss_mask": loss_mask,
}

_ORDER = {"blocker": 0, "warning": 1, "info": 2}


def audit(inputs: AuditInput, dataset_fingerprint: str) -> AuditReport:
    """Run every check; findings come blockers first, then in the order of `CHECKS`.

    `groups` of the report names, for each row that has near-duplicates, the first row of its group.
    """
    inputs = _encoded_once(inputs)
    findings = [finding for check in CHECKS.values() for finding in check(inputs)]
    return AuditReport(
        dataset=dataset_fingerprint,
        count=len(inputs.examples),
        task=inputs.task.type,
        label_counts=count_labels(inputs),
        findings=tuple(sorted(findings, key=lambda finding: _ORDER[finding.severity])),
        tokens=profile_tokens(inputs),
        groups=_named_groups(inputs),
    )


def _encoded_once(inputs: AuditInput) -> AuditInput:
    """The same inputs, with every row encoded now instead of once for each check."""
    if inputs.encode is None:
        return inputs
    rows = {example.id: inputs.encode(example) for example in inputs.examples}
    return replace(inputs, encode=lambda example: rows[example.id])


def _named_groups(inputs: AuditInput) -> dict[str, str]:
    first: dict[int, str] = {}
    names = [first.setdefault(group, example.id) for example, group in zip(inputs.examples, inputs.groups, strict=True)]
    shared = {name for name, example in zip(names, inputs.examples, strict=True) if name != example.id}
    return {example.id: name for name, example in zip(names, inputs.examples, strict=True) if name in shared}
