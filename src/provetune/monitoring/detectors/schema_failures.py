"""Do more answers break their schema?"""

from __future__ import annotations

from provetune.monitoring.detectors.signal import shares_signal
from provetune.monitoring.sample import Row, Sample
from provetune.monitoring.settings import Settings
from provetune.records.monitoring import DriftSignal


def schema_failures(reference: Sample, window: Sample, settings: Settings) -> DriftSignal:
    """Share of answers that were checked against a JSON Schema and broke it; these are failures, not only signs of them."""
    first, second = ([_word(row) for row in side.rows] for side in (reference, window))
    return shares_signal("schema_failures", "Answers", (first, second), (reference, window), settings)


def _word(row: Row) -> str | None:
    return None if row.valid is None else "valid" if row.valid else "broken"
