"""Do the window's texts lie elsewhere among vectors, even where they share words with the reference?"""

from __future__ import annotations

import numpy as np

from provetune.monitoring.detectors.signal import shown, unmeasured
from provetune.monitoring.sample import Sample
from provetune.monitoring.settings import Settings
from provetune.monitoring.terms import text_effect
from provetune.records.monitoring import DriftSignal
from provetune.stats.two_sample import auc, mmd, rbf_features


def mmd_embedding(reference: Sample, window: Sample, settings: Settings) -> DriftSignal:
    """Permutation MMD under a Gaussian kernel on the embedder's vectors, which know nothing of the two samples."""
    if settings.embedder is None:
        return unmeasured("mmd_embedding", "main", "Meaning: no embedding model was given.")
    vectors = np.asarray(settings.embedder.embed([*reference.texts, *window.texts]), dtype=np.float64)
    first = len(reference.rows)
    _, p = mmd(rbf_features(vectors, settings.seed), first, settings.permutations, settings.seed)
    effect = text_effect(reference, window, settings.seed)
    # each half is scored along the direction that the other half finds
    halves = np.concatenate([np.arange(first) % 2, np.arange(len(window.rows)) % 2])
    later = np.arange(len(vectors)) >= first
    scores = np.empty(len(vectors))
    for half in (0, 1):
        seen = halves != half
        scores[halves == half] = vectors[halves == half] @ (vectors[seen & later].mean(axis=0) - vectors[seen & ~later].mean(axis=0))
    apart = auc(scores[~later], scores[later])
    return DriftSignal(
        detector="mmd_embedding",
        family="main",
        found="none",
        sentence=f"Meaning ({settings.embedder.name}): a window text is told from a reference text in {apart.value or 0.5:.0%} of pairs.",
        p_value=p,
        effect=apart,
        effect_name="area under the curve of a classifier of window against reference, by vectors",
        new_share=effect.new_share,
        large=effect.large or (apart.value or 0.0) >= 0.60,
        examples=tuple(shown(window.rows[place].text) for place in np.argsort(-scores[later], kind="stable")[:5]),
        reference_rows=first,
        window_rows=len(window.rows),
    )
