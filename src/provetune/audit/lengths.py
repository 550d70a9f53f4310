"""How long the rows are under the model's own tokenizer and template."""

from __future__ import annotations

import math

import numpy as np

from provetune.audit.inputs import AuditInput, ids_of, rows_text
from provetune.records.data import Finding, TokenProfile

BLOCK_ABOVE = 0.01


def profile_tokens(inputs: AuditInput) -> TokenProfile | None:
    """Token counts over all rows; None without a tokenizer or rows."""
    if inputs.tokenizer is None or inputs.encode is None or not inputs.examples:
        return None
    rows = [inputs.encode(example) for example in inputs.examples]
    lengths = np.array([len(row.ids) for row in rows])
    return TokenProfile(
        tokenizer=inputs.tokenizer_name,
        median=math.ceil(np.median(lengths)),
        p95=math.ceil(np.percentile(lengths, 95)),
        longest=int(lengths.max()),
        total=int(lengths.sum()),
        supervised_total=sum(int(np.count_nonzero(row.labelled)) for row in rows),
        over_context=int((lengths > inputs.tokenizer.context_length).sum()),
        context_length=inputs.tokenizer.context_length,
    )


def lengths(inputs: AuditInput) -> list[Finding]:
    """Rows longer than the model's context, longest first; a blocker above 1 % of the rows (or `fail_on.truncated_share`)."""
    profile = profile_tokens(inputs)
    if profile is None or inputs.encode is None or not profile.over_context:
        return []
    sized = [(len(inputs.encode(example).ids), example) for example in inputs.examples]
    over = sorted((item for item in sized if item[0] > profile.context_length), key=lambda item: -item[0])
    share = len(over) / len(inputs.examples)
    own = inputs.fail_on.truncated_share
    limit = BLOCK_ABOVE if own is None else own
    blocked = share > limit
    return [
        Finding(
            check="lengths",
            severity="blocker" if blocked else "warning",
            message=f"{rows_text(len(over))} of {len(inputs.examples):,} ({share:.1%}) are longer than the "
            f"{profile.context_length:,} tokens the model can read "
            f"(median {profile.median:,}, 95 % up to {profile.p95:,}, longest {profile.longest:,}). "
            "They are left out of training; cutting them would train on half an answer.",
            count=len(over),
            example_ids=ids_of(example for _, example in over),
            observed=share,
            threshold=limit,
            remedy="Shorten these rows, or choose a base model with a longer context (base.model)."
            if blocked
            else "Shorten these rows if they matter.",
        )
    ]
