"""Are the window's texts longer or shorter?"""

from __future__ import annotations

from provetune.monitoring.detectors.signal import numbers_signal
from provetune.monitoring.sample import Sample
from provetune.monitoring.settings import Settings
from provetune.records.monitoring import DriftSignal


def lengths(reference: Sample, window: Sample, settings: Settings) -> DriftSignal:
    """Characters a text."""
    first, second = ([float(len(text)) for text in side.texts] for side in (reference, window))
    return numbers_signal("lengths", "Characters a text", (first, second), (reference, window), settings)
