"""Does the model answer otherwise?"""

from __future__ import annotations

from provetune.monitoring.detectors.signal import numbers_signal, shares_signal
from provetune.monitoring.sample import Sample
from provetune.monitoring.settings import Settings
from provetune.records.monitoring import DriftSignal

_FREE = 0.5


def output_mix(reference: Sample, window: Sample, settings: Settings) -> DriftSignal:
    """Chi-square of the predictions, by permutation; where most of them are different texts, their length in characters instead."""
    samples = (reference, window)
    first, second = ([row.prediction for row in side.rows] for side in samples)
    known = [value for value in (*first, *second) if value is not None]
    if len(set(known)) > _FREE * max(1, len(known)):
        sizes = [[None if value is None else float(len(value)) for value in side] for side in (first, second)]
        return numbers_signal("output_mix", "Characters a completion", (sizes[0], sizes[1]), samples, settings)
    return shares_signal("output_mix", "Predictions", (first, second), samples, settings)
