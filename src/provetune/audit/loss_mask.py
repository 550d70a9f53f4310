"""Is exactly the assistant's text trained on."""

from __future__ import annotations

from provetune.audit.inputs import AuditInput, ids_of, rows_text, share
from provetune.audit.tokens import token_facts
from provetune.records.data import Finding


def loss_mask(inputs: AuditInput) -> list[Finding]:
    """Every row trains on some but not all tokens, on the assistant turns of weight 1 and on the token that ends each.

    Stock chat templates give masks of zeros or ones without a word, so nothing is assumed; each kind of fault is a blocker.
    """
    facts = token_facts(inputs)
    if facts is None:
        return []
    kinds: dict[str, list[int]] = {}
    for place, (kind, _) in facts.faults.items():
        kinds.setdefault(kind, []).append(place)
    return [_finding(inputs, kind, places, facts.faults[places[0]][1]) for kind, places in kinds.items()]


def _finding(inputs: AuditInput, kind: str, places: list[int], found: str) -> Finding:
    total = len(inputs.examples)
    return Finding(
        check="loss_mask",
        severity="blocker",
        message=f"In {rows_text(len(places))} of {total:,} {kind}. First case, row {inputs.examples[places[0]].id}: {found}.",
        count=len(places),
        example_ids=ids_of(inputs.examples[place] for place in places),
        observed=share(len(places), total),
        threshold=0.0,
        remedy="If all rows are listed, the chat template of the base model is at fault: choose another base.model or revision. "
        "If a few are, correct these rows: each needs at least one assistant turn of weight 1.",
    )
