"""Which languages the rows are in, beside the main one."""

from __future__ import annotations

from collections import Counter

from provetune.audit.inputs import AuditInput, counted
from provetune.languages import language_of
from provetune.records.data import Finding

TOLD_FROM = 0.01
"""Share of rows in other languages than the main one from which on they are told of."""


def language_mix(inputs: AuditInput) -> list[Finding]:
    """The languages beside the main one, where they make up a hundredth of the rows whose language is told."""
    names = [language_of(example.prompt_text or example.target) for example in inputs.examples]
    counts = Counter(name for name in names if name is not None)
    told = sum(counts.values())
    if not told:
        return []
    (main, in_main), *others = counts.most_common()
    if told - in_main < max(2, TOLD_FROM * told):
        return []
    listed = ", ".join(f"{name} {rows:,}" for name, rows in others[:8])
    places = [place for place, name in enumerate(names) if name not in (None, main)]
    return [
        Finding(
            check="language_mix",
            severity="info",
            message=f"Most rows are in {main} ({in_main:,} of {told:,} whose language is told); others are in {listed}. "
            f"{len(names) - told:,} rows are too short to tell.",
            threshold=TOLD_FROM,
            remedy="Nothing to do if requests come in these languages too; else remove the rows. Each needs rows in the test part.",
            **counted(inputs, places),
        )
    ]
