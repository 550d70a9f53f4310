"""Are more requests not for this model?"""

from __future__ import annotations

from provetune.monitoring.detectors.signal import shares_signal
from provetune.monitoring.sample import Row, Sample
from provetune.monitoring.settings import Settings
from provetune.records.monitoring import DriftSignal


def out_of_scope(reference: Sample, window: Sample, settings: Settings) -> DriftSignal:
    """Share of requests that were marked as out of scope."""
    first, second = ([_word(row) for row in side.rows] for side in (reference, window))
    return shares_signal("out_of_scope", "Requests", (first, second), (reference, window), settings)


def _word(row: Row) -> str | None:
    return None if row.in_scope is None else "in scope" if row.in_scope else "out of scope"
