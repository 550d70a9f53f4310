"""How long the rows are under the model's own tokenizer and template."""

from __future__ import annotations

import math

import numpy as np

from provetune.audit.inputs import AuditInput, ids_of, rows_text, share
from provetune.audit.tokens import token_facts
from provetune.records.data import Finding, TokenProfile

BLOCK_ABOVE = 0.01


def profile_tokens(inputs: AuditInput) -> TokenProfile | None:
    """Token counts over all rows that can be encoded; None without a tokenizer or such rows."""
    facts = token_facts(inputs)
    if inputs.tokenizer is None or facts is None or not facts.lengths.any():
        return None
    lengths = facts.lengths[facts.lengths > 0]
    return TokenProfile(
        tokenizer=inputs.tokenizer_name,
        median=math.ceil(np.median(lengths)),
        p95=math.ceil(np.percentile(lengths, 95)),
        longest=int(lengths.max()),
        total=int(lengths.sum()),
        supervised_total=int(facts.supervised.sum()),
        over_context=int((lengths > inputs.tokenizer.context_length).sum()),
        context_length=inputs.tokenizer.context_length,
    )


def lengths(inputs: AuditInput) -> list[Finding]:
    """Rows longer than the model's context, longest first; a blocker above 1 % of the rows (or `fail_on.truncated_share`)."""
    facts, profile = token_facts(inputs), profile_tokens(inputs)
    if facts is None or profile is None or not profile.over_context:
        return []
    order = np.argsort(-facts.lengths, kind="stable")
    over = [inputs.examples[place] for place in order[: profile.over_context].tolist()]
    part = len(over) / len(inputs.examples)
    own = inputs.fail_on.truncated_share
    limit = BLOCK_ABOVE if own is None else own
    blocked = part > limit
    return [
        Finding(
            check="lengths",
            severity="blocker" if blocked else "warning",
            message=f"{rows_text(len(over))} of {len(inputs.examples):,} ({part:.1%}) are longer than the "
            f"{profile.context_length:,} tokens the model can read "
            f"(median {profile.median:,}, 95 % up to {profile.p95:,}, longest {profile.longest:,}). "
            "They are left out of training; cutting them would train on half an answer.",
            count=len(over),
            example_ids=ids_of(over),
            observed=share(len(over), len(inputs.examples)),
            threshold=limit,
            remedy="Shorten these rows, or choose a base model with a longer context (base.model)."
            if blocked
            else "Shorten these rows if they matter.",
        )
    ]
