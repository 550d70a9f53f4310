"""Do the texts come in other languages?"""

from __future__ import annotations

from provetune.languages import language_of
from provetune.monitoring.detectors.signal import shares_signal
from provetune.monitoring.sample import Sample
from provetune.monitoring.settings import Settings
from provetune.records.monitoring import DriftSignal


def language(reference: Sample, window: Sample, settings: Settings) -> DriftSignal:
    """Shares of the languages, or scripts, of the texts that are long enough to tell."""
    first, second = ([language_of(text) for text in side.texts] for side in (reference, window))
    return shares_signal("language", "Languages", (first, second), (reference, window), settings)
