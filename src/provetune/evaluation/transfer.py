"""What successive releases kept: backward transfer and forgetting over a matrix of scores."""

from __future__ import annotations

import numpy as np

from provetune.stats.units import FloatArray


def backward_transfer(scores: FloatArray) -> float:
    """Mean over all tasks but the last of R[T, i] - R[i, i] (Lopez-Paz & Ranzato 2017, arXiv 1706.08840); below 0 is forgetting.

    `scores` `[T, T]`: R[t, i] is the score of release t on the test rows of release i. Raises ValueError on another shape, fewer than
    two releases, or a score that is needed and no finite number.

    >>> backward_transfer(np.array([[0.9, 0.2], [0.7, 0.8]])).__round__(3)
    -0.2
    """
    _check(scores)
    return _mean(scores[-1, :-1] - np.diag(scores)[:-1])


def forgetting(scores: FloatArray) -> float:
    """Mean over all tasks but the last of max over t < T of R[t, i], minus R[T, i] (Chaudhry et al. 2018, arXiv 1801.10112).

    Only releases from the task's own on count. Arguments and errors as in `backward_transfer`.

    >>> forgetting(np.array([[0.6, 0.0, 0.0], [0.9, 0.8, 0.0], [0.7, 0.8, 0.9]])).__round__(3)
    0.1
    """
    _check(scores)
    last = len(scores) - 1
    return _mean(np.array([scores[task:last, task].max() - scores[last, task] for task in range(last)]))


def _check(scores: FloatArray) -> None:
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1] or len(scores) < 2:
        raise ValueError(f"scores have shape {scores.shape}, wanted one row and one column per release, two or more")


def _mean(values: FloatArray) -> float:
    if not np.isfinite(values).all():
        raise ValueError("a score that is needed was not measured; measure every release on the test rows of the earlier ones")
    return float(values.mean())
