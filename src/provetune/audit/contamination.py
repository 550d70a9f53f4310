"""Rows that hold what other abilities will be tested with: then the test would not measure what is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from provetune.audit.inputs import AuditInput, counted, rows_text
from provetune.records.data import Finding
from provetune.similarity import normalise

WORDS = 8
"""Words in a row that are compared at once."""
COVERED = 0.5
"""Part of a test text's words, in such runs, from which on a row is said to hold it (as in Lambert et al., "Tulu 3", 2024)."""


def contamination(inputs: AuditInput) -> list[Finding]:
    """For each suite the rows that hold at least half of one of its texts word for word; a warning. Rewording escapes it."""
    return [finding for name, texts in inputs.suites.items() for finding in _compared(inputs, name, texts)]


def _compared(inputs: AuditInput, suite: str, texts: Sequence[str]) -> list[Finding]:
    sizes: list[int] = []
    index: dict[str, list[tuple[int, int]]] = {}
    for item, text in enumerate(texts):
        words = normalise(text).split()
        sizes.append(len(words))
        for start, run in enumerate(_runs(words)):
            index.setdefault(run, []).append((item, start))
    places, items = [], set()
    for place, example in enumerate(inputs.examples):
        covered: dict[int, set[int]] = {}
        for run in _runs(normalise(f"{example.prompt_text} {example.target}").split()):
            for item, start in index.get(run, ()):
                covered.setdefault(item, set()).update(range(start, start + WORDS))
        held = {item for item, words in covered.items() if len(words) >= COVERED * sizes[item]}
        if held:
            places.append(place)
            items |= held
    if not places:
        return []
    return [
        Finding(
            check="contamination",
            severity="warning",
            message=f"{rows_text(len(places))} of {len(inputs.examples):,} hold texts of the suite {suite!r}, "
            f"{len(items):,} of its {len(texts):,}: half or more of the words in runs of {WORDS}.",
            threshold=0.0,
            remedy="Remove these rows; else the suite shows what was learned by heart, not which abilities were kept.",
            **counted(inputs, places),
        )
    ]


def _runs(words: Sequence[str]) -> Iterator[str]:
    return (" ".join(words[start : start + WORDS]) for start in range(len(words) - WORDS + 1))
