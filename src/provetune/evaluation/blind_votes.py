"""Win rate and agreement from blind votes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from provetune.hashing import seed_of
from provetune.records.blind_votes import PairVotes
from provetune.stats.agreement import krippendorff_alpha
from provetune.stats.estimate import Estimate
from provetune.stats.resampling import mean_interval
from provetune.stats.units import Resampling

SCORES = (1.0, 0.0, 0.5, 0.5)
"""What a vote for the candidate, for the baseline, for both and for neither counts."""


def win_rate(votes: Sequence[PairVotes], confidence: float = 0.95) -> Estimate:
    """Mean over pairs of the raters' mean score; the pairs are the units, however many raters saw each.

    >>> str(win_rate([(1, 0, 0, 0)] * 30 + [(0, 1, 0, 0)] * 10 + [(0, 0, 1, 0)] * 10))
    '0.700 [0.580, 0.818], n=50'
    """
    counts = np.array([pair for pair in votes if sum(pair)], dtype=float).reshape(-1, 4)
    scores = counts @ np.array(SCORES) / counts.sum(axis=1)
    return mean_interval(scores, None, Resampling(seed_of("win rate"), confidence), bounds=(0.0, 1.0))


def vote_agreement(votes: Sequence[PairVotes], confidence: float = 0.95) -> Estimate:
    """Krippendorff's alpha (nominal) of the raters over the four answers; None where no pair has two votes."""
    counts = np.array(votes, dtype=np.int64).reshape(-1, 4)
    return krippendorff_alpha(counts, "nominal", Resampling(seed_of("vote agreement"), confidence))
