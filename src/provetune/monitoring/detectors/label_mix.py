"""Have the shares of the labels changed?"""

from __future__ import annotations

from provetune.monitoring.detectors.signal import shares_signal
from provetune.monitoring.sample import Sample
from provetune.monitoring.settings import Settings
from provetune.records.monitoring import DriftSignal


def label_mix(reference: Sample, window: Sample, settings: Settings) -> DriftSignal:
    """Chi-square of the labels, by permutation."""
    first, second = ([row.label for row in side.rows] for side in (reference, window))
    return shares_signal("label_mix", "Labels", (first, second), (reference, window), settings)
