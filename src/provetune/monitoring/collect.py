"""Which rows to label: half by chance, so that the error stays unbiased, half where the window is least like the reference."""

from __future__ import annotations

from provetune.monitoring.sample import Row, Sample
from provetune.monitoring.settings import FEWEST
from provetune.monitoring.terms import text_effect


def rows_to_label(reference: Sample, window: Sample, count: int, seed: int = 7) -> list[Row]:
    """At most `count` rows of the window that have no label yet; the order of a draw is chance already."""
    unlabelled = [row for row in window.rows if row.label is None]
    chosen = unlabelled[: (count + 1) // 2]
    if min(len(reference.rows), len(window.rows)) >= FEWEST:
        far = [window.rows[place] for place in text_effect(reference, window, seed).farthest]
        chosen += [row for row in far if row.label is None and row not in chosen]
    chosen += [row for row in unlabelled if row not in chosen]
    return chosen[:count]
