"""Is the model less sure of what it writes?"""

from __future__ import annotations

from provetune.monitoring.detectors.signal import numbers_signal
from provetune.monitoring.sample import Sample
from provetune.monitoring.settings import Settings
from provetune.records.monitoring import DriftSignal


def surprise(reference: Sample, window: Sample, settings: Settings) -> DriftSignal:
    """Nats a token of the model's own completions, where the log holds them."""
    first, second = ([None if row.logprob is None else -row.logprob for row in side.rows] for side in (reference, window))
    return numbers_signal(
        "surprise", "The model's surprise at its own answers, nats a token", (first, second), (reference, window), settings
    )
