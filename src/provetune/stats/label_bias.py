"""Taking out of label probabilities what a model prefers whatever it is asked.

Sources: Zhao et al., "Calibrate Before Use", ICML 2021 (contextual calibration: the prior is the mean over inputs without content);
Zhou et al., "Batch Calibration", ICLR 2024 (the prior is the mean over the rows that are asked). Both divide by the prior.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def label_probabilities(nats: FloatArray) -> FloatArray:
    """Probabilities `[n, k]` of k labels from their log-likelihoods `[n, k]`, as if there were no other text.

    >>> label_probabilities(np.log([[0.02, 0.06]])).round(2).tolist()
    [[0.25, 0.75]]
    """
    weights: FloatArray = np.exp(nats - nats.max(axis=1, keepdims=True))
    return _to_one(weights)


def prior_of(probabilities: FloatArray) -> FloatArray:
    """The mean `[k]` over inputs `[n, k]`: all of them without content, or the batch that is asked."""
    mean: FloatArray = probabilities.mean(axis=0)
    return mean


def without_prior(probabilities: FloatArray, prior: FloatArray) -> FloatArray:
    """Probabilities `[n, k]` divided by a prior (`[k]`, or `[n, k]` where rows have their own), with sum 1 again.

    >>> without_prior(np.array([[0.7, 0.3]]), np.array([0.8, 0.2])).round(3).tolist()
    [[0.368, 0.632]]
    """
    return _to_one(probabilities / np.maximum(prior, np.finfo(float).tiny))


def _to_one(weights: FloatArray) -> FloatArray:
    shares: FloatArray = weights / weights.sum(axis=1, keepdims=True)
    return shares
