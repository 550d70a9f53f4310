"""Rows that the base model's template or tokenizer does not take."""

from __future__ import annotations

from provetune.audit.inputs import AuditInput, ids_of, rows_text, share
from provetune.audit.tokens import token_facts
from provetune.records.data import Finding


def template(inputs: AuditInput) -> list[Finding]:
    """A blocker for rows that cannot be turned into tokens, with the reason of the first."""
    facts = token_facts(inputs)
    if facts is None or not facts.errors:
        return []
    places = list(facts.errors)
    total = len(inputs.examples)
    return [
        Finding(
            check="template",
            severity="blocker",
            message=f"{rows_text(len(places))} of {total:,} cannot be turned into tokens by the base model's chat template and tokenizer. "
            f"First case, row {inputs.examples[places[0]].id}: {facts.errors[places[0]]}.",
            count=len(places),
            example_ids=ids_of(inputs.examples[place] for place in places),
            observed=share(len(places), total),
            threshold=0.0,
            remedy="Correct or remove these rows; if all are listed, choose a base model whose template takes such rows (base.model).",
        )
    ]
