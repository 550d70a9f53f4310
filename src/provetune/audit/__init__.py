"""Review of a data set before anything is trained: one check a file, one signature for all."""

from __future__ import annotations

from collections.abc import Iterator

from provetune.audit.boilerplate import boilerplate
from provetune.audit.claims import claims
from provetune.audit.class_balance import class_balance
from provetune.audit.conflicting_labels import conflicting_labels
from provetune.audit.contamination import contamination
from provetune.audit.copied_prompt import copied_prompt
from provetune.audit.diversity import diversity
from provetune.audit.encoding_damage import encoding_damage
from provetune.audit.exact_duplicates import exact_duplicates
from provetune.audit.format import format_faults
from provetune.audit.group_association import group_association
from provetune.audit.hidden_instructions import hidden_instructions
from provetune.audit.inputs import AuditInput, Check, EncodedRow
from provetune.audit.label_counts import count_labels, label_counts
from provetune.audit.label_errors import label_errors
from provetune.audit.language_mix import language_mix
from provetune.audit.leaked_test_rows import leaked_test_rows
from provetune.audit.left_out_on_reading import left_out_on_reading
from provetune.audit.lengths import lengths, profile_tokens
from provetune.audit.loss_mask import loss_mask
from provetune.audit.near_duplicates import near_duplicates
from provetune.audit.outliers import outliers
from provetune.audit.personal_data import personal_data
from provetune.audit.refusals import refusals
from provetune.audit.relevance import relevance
from provetune.audit.representation import representation
from provetune.audit.schema_targets import schema_targets
from provetune.audit.secrets import secrets
from provetune.audit.semantic_duplicates import semantic_duplicates
from provetune.audit.size import size
from provetune.audit.sorted_by_label import sorted_by_label
from provetune.audit.template import template
from provetune.audit.tokens import token_facts
from provetune.audit.toxicity import toxicity
from provetune.audit.unseen_labels import unseen_labels
from provetune.personal_data import NOT_LOOKED_FOR
from provetune.records.data import AuditReport, Finding

__all__ = ["CHECKS", "AuditInput", "Check", "EncodedRow", "audit"]

CHECKS: dict[str, Check] = {
    "left_out_on_reading": left_out_on_reading,
    "size": size,
    "format": format_faults,
    "encoding_damage": encoding_damage,
    "hidden_instructions": hidden_instructions,
    "personal_data": personal_data,
    "secrets": secrets,
    "exact_duplicates": exact_duplicates,
    "near_duplicates": near_duplicates,
    "semantic_duplicates": semantic_duplicates,
    "conflicting_labels": conflicting_labels,
    "leaked_test_rows": leaked_test_rows,
    "contamination": contamination,
    "label_counts": label_counts,
    "lengths": lengths,
    "template": template,
    "loss_mask": loss_mask,
    "class_balance": class_balance,
    "unseen_labels": unseen_labels,
    "schema_targets": schema_targets,
    "copied_prompt": copied_prompt,
    "boilerplate": boilerplate,
    "language_mix": language_mix,
    "sorted_by_label": sorted_by_label,
    "toxicity": toxicity,
    "refusals": refusals,
    "representation": representation,
    "group_association": group_association,
    "outliers": outliers,
    "relevance": relevance,
    "diversity": diversity,
    "label_errors": label_errors,
}

_ORDER = {"blocker": 0, "warning": 1, "info": 2}


def audit(inputs: AuditInput, dataset_fingerprint: str) -> AuditReport:
    """Run every check; findings come blockers first, then in the order of `CHECKS`.

    `groups` of the report names, for each row that has near-duplicates, the first row of its group.
    """
    findings: list[Finding] = []
    for done, check in enumerate(CHECKS.values()):
        findings += check(inputs)
        inputs.progress("audit: checks", done + 1, len(CHECKS))
    return AuditReport(
        dataset=dataset_fingerprint,
        count=len(inputs.examples),
        task=inputs.task.type,
        label_counts=count_labels(inputs),
        findings=tuple(sorted(findings, key=lambda finding: _ORDER[finding.severity])),
        tokens=profile_tokens(inputs),
        groups=_named_groups(inputs),
        claims=claims(inputs, findings),
        not_measured=tuple(_not_measured(inputs)),
        agreement=inputs.agreement,
    )


def _not_measured(inputs: AuditInput) -> Iterator[str]:
    """What no check looked at, and why, so that silence is not taken for a clean bill."""
    names = inputs.recogniser
    yield NOT_LOOKED_FOR if names is None else f"Personal data beyond fixed forms was looked for by {names.looks_for} only."
    if inputs.toxicity is None or not inputs.toxicity.hatecheck:
        yield "Toxicity was not measured: no text classifier with results on HateCheck was given."
    if not inputs.suites:
        yield "Contamination was not measured: no texts were given by which other abilities will be tested."
    if inputs.embedder is None:
        yield "Meaning was not measured (outliers, relevance, diversity, copies in other words): no vectors were given."
    if token_facts(inputs) is None:
        yield "Length and loss mask were not measured: no base model was given."


def _named_groups(inputs: AuditInput) -> dict[str, str]:
    first: dict[int, str] = {}
    names = [first.setdefault(group, example.id) for example, group in zip(inputs.examples, inputs.groups, strict=True)]
    shared = {name for name, example in zip(names, inputs.examples, strict=True) if name != example.id}
    return {example.id: name for name, example in zip(names, inputs.examples, strict=True) if name in shared}
