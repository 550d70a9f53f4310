"""Which words does the window hold in more texts than chance explains?"""

from __future__ import annotations

import numpy as np

from provetune.monitoring.detectors.signal import shown, unmeasured
from provetune.monitoring.sample import Sample
from provetune.monitoring.settings import Settings
from provetune.monitoring.terms import FEWEST_TEXTS, pooled_terms, text_effect
from provetune.monitoring.text import words_of
from provetune.records.monitoring import DriftSignal, NewTerm
from provetune.stats.two_sample import new_terms as tested

_SHOWN = 20
_LISTED = 0.05


def new_terms(reference: Sample, window: Sample, settings: Settings) -> DriftSignal:
    """One-sided hypergeometric test of each word that five texts or more hold, after Holm; the words that come through, surest first."""
    pooled = pooled_terms(reference, window)
    rows = np.arange(pooled.counts.shape[0])
    before, now = pooled.held(rows[: pooled.first]), pooled.held(rows[pooled.first :])
    usual = np.flatnonzero(before + now >= FEWEST_TEXTS)
    if not len(usual):
        return unmeasured("new_terms", "main", f"New words: no word is in {FEWEST_TEXTS} texts.")
    adjusted = tested((before[usual], now[usual]), (pooled.first, len(window.rows)))
    order = sorted(range(len(usual)), key=lambda k: (adjusted[k], -now[usual[k]], pooled.words[usual[k]]))
    listed = tuple(
        NewTerm(
            term=pooled.words[usual[k]],
            reference=int(before[usual[k]]),
            window=int(now[usual[k]]),
            p_value=float(adjusted[k]),
            example=_example(window, pooled.words[usual[k]]),
        )
        for k in order[:_SHOWN]
        if adjusted[k] <= _LISTED
    )
    effect = text_effect(reference, window, settings.seed)
    words = ", ".join(f"{one.term} ({one.window} texts, was {one.reference})" for one in listed[:5]) or "none beyond chance"
    return DriftSignal(
        detector="new_terms",
        family="main",
        found="none",
        sentence=f"New words: {words}.",
        p_value=float(adjusted.min()),
        effect=effect.new_share,
        effect_name="share of window texts with words that the other half shows to be new, less the reference's share",
        new_share=effect.new_share,
        large=effect.large,
        terms=listed,
        examples=tuple(dict.fromkeys(one.example for one in listed))[:5],
        reference_rows=len(reference.rows),
        window_rows=len(window.rows),
    )


def _example(window: Sample, word: str) -> str:
    return next(shown(row.text) for row in window.rows if word in words_of(row.text))
