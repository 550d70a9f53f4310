"""Does the tokenizer cut the texts into more pieces than it used to?"""

from __future__ import annotations

from provetune.monitoring.detectors.signal import numbers_signal, unmeasured
from provetune.monitoring.sample import Sample
from provetune.monitoring.settings import Settings
from provetune.records.monitoring import DriftSignal

_LETTERS = 2_000


def fertility(reference: Sample, window: Sample, settings: Settings) -> DriftSignal:
    """Tokens a word, of the first 2,000 characters of each text; it rises with unknown words, other languages and broken encodings."""
    tokenizer = settings.tokenizer
    if tokenizer is None:
        return unmeasured("fertility", "side", "Tokens a word: no tokenizer was given.")
    sides = [
        [len(tokenizer.encode(text[:_LETTERS])) / max(1, len(text[:_LETTERS].split())) for text in side.texts]
        for side in (reference, window)
    ]
    return numbers_signal("fertility", "Tokens a word", (sides[0], sides[1]), (reference, window), settings)
