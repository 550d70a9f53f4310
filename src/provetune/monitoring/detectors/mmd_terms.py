"""Do the window's words differ from the reference's, all words together?"""

from __future__ import annotations

from provetune.monitoring.detectors.signal import shown, unmeasured
from provetune.monitoring.sample import Sample
from provetune.monitoring.settings import Settings
from provetune.monitoring.terms import pooled_terms, text_effect
from provetune.records.monitoring import DriftSignal
from provetune.stats.two_sample import mmd


def mmd_terms(reference: Sample, window: Sample, settings: Settings) -> DriftSignal:
    """Permutation MMD on TF-IDF that was fitted to both samples together."""
    pooled = pooled_terms(reference, window)
    if not pooled.words:
        return unmeasured("mmd_terms", "main", "Words: no word is in two texts.")
    _, p = mmd(pooled.weights, pooled.first, settings.permutations, settings.seed)
    effect = text_effect(reference, window, settings.seed)
    return DriftSignal(
        detector="mmd_terms",
        family="main",
        found="none",
        sentence=f"Words: a window text is told from a reference text in {effect.auc.value or 0.5:.0%} of pairs (50% is guessing).",
        p_value=p,
        effect=effect.auc,
        effect_name="area under the curve of a classifier of window against reference, by words",
        new_share=effect.new_share,
        large=effect.large,
        examples=tuple(shown(window.rows[place].text) for place in effect.farthest[:5]),
        reference_rows=len(reference.rows),
        window_rows=len(window.rows),
    )
