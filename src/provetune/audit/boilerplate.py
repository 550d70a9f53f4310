"""Wording that all rows share: it costs tokens and says nothing about any row."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

from provetune.audit.inputs import AuditInput, counted, shortened
from provetune.records.data import Finding
from provetune.similarity import shared_end

FEWEST = 20
LETTERS = 12
"""Letters from which on shared wording is told of."""
OFTEN = 0.2
"""Part of the written answers that begin with the same words from which on these are told of."""
_WORDS = 5


def boilerplate(inputs: AuditInput) -> list[Finding]:
    """What all prompts or all targets begin or end with, and words with which many answers begin."""
    if len(inputs.examples) < FEWEST:
        return []
    prompts = [example.prompt_text.strip() for example in inputs.examples]
    targets = [example.target.strip() for example in inputs.examples]
    advice = "Put it into task.system once, unless real requests come with it."
    found = _shared(inputs, "prompts", prompts, advice)
    if inputs.task.type != "classify":
        shared = _shared(inputs, "targets", targets, "Cut it off and add it where the answer is used, unless it is meant to be learned.")
        found += shared or _openings(inputs, targets)
    return found


def _shared(inputs: AuditInput, what: str, texts: Sequence[str], advice: str) -> list[Finding]:
    if len(set(texts)) == 1:
        return []
    start = os.path.commonprefix(texts)
    end = shared_end(texts, len(start))
    parts = [f"{verb} with {shortened(text.strip())!r}" for verb, text in (("begin", start), ("end", end)) if len(text.strip()) >= LETTERS]
    if not parts:
        return []
    return [
        Finding(
            check="boilerplate",
            severity="info",
            message=f"All {len(texts):,} {what} {' and '.join(parts)}.",
            threshold=1.0,
            remedy=advice,
            **counted(inputs, range(len(texts))),
        )
    ]


def _openings(inputs: AuditInput, targets: Sequence[str]) -> list[Finding]:
    openings = [" ".join(text.split(maxsplit=_WORDS)[:_WORDS]) if text.count(" ") >= _WORDS else "" for text in targets]
    opening, count = Counter(filter(None, openings)).most_common(1)[0] if any(openings) else ("", 0)
    if count < OFTEN * len(targets):
        return []
    return [
        Finding(
            check="boilerplate",
            severity="info",
            message=f"{count:,} of {len(targets):,} targets ({count / len(targets):.1%}) begin with {opening!r}.",
            threshold=OFTEN,
            remedy="Nothing to do if that is how answers should begin; else vary or cut it, since the model will write it always.",
            **counted(inputs, [place for place, found in enumerate(openings) if found == opening]),
        )
    ]
