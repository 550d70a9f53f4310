"""Which labels are probably wrong, from probabilities that each row got by a classifier that had not seen it.

Source: Northcutt, Jiang, Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 2021: the confident
joint, calibrated to the counts of the labels, and pruning by noise rate. Labels are numbers from 0 to K - 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
Matrix = NDArray[np.float64]
FEWEST_KEPT = 5
"""Rows of a label that are never all flagged."""


def calibrated_joint(labels: Labels, probabilities: Matrix) -> Matrix:
    """Estimated counts of (given label, true label), shape (K, K); each row of it sums to the count of that label.

    A row counts as truly j where its probability of j reaches the mean probability of j among the rows labelled j.
    """
    count = probabilities.shape[1]
    given = np.bincount(labels, minlength=count)
    thresholds = np.array([probabilities[labels == k, k].mean() if given[k] else np.inf for k in range(count)])
    confident = np.where(probabilities >= thresholds - 1e-6, probabilities, -1.0)
    truth, told = confident.argmax(axis=1), confident.max(axis=1) >= 0
    joint = np.zeros((count, count))
    np.add.at(joint, (labels[told], truth[told]), 1)
    np.fill_diagonal(joint, np.maximum(joint.diagonal(), (given > 0).astype(float)))
    sums = joint.sum(axis=1, keepdims=True)
    calibrated: Matrix = np.divide(joint, sums, out=np.zeros_like(joint), where=sums > 0) * given[:, None]
    return calibrated


def flagged(labels: Labels, probabilities: Matrix) -> Labels:
    """Places of the rows whose label is probably wrong, the least likely label first.

    For each pair (given i, true j) the expected number of rows labelled i with the largest p(j) - p(i), as far as their label is
    not the likeliest one.
    """
    joint = _whole(calibrated_joint(labels, probabilities))
    own = probabilities[np.arange(len(labels)), labels]
    wrong = np.zeros(len(labels), dtype=bool)
    for given in range(len(joint)):
        rows = np.flatnonzero(labels == given)
        if len(rows) <= FEWEST_KEPT:
            continue
        for true, expected in enumerate(joint[given].tolist()):
            if true == given or not expected:
                continue
            margins = probabilities[rows, true] - own[rows]
            wrong[rows[np.argsort(-margins, kind="stable")[:expected]]] = True
    wrong &= probabilities.argmax(axis=1) != labels
    places = np.flatnonzero(wrong)
    order: Labels = places[np.argsort(own[places], kind="stable")]
    return order


def _whole(joint: Matrix) -> Labels:
    """Whole numbers with the same sums of rows: what rounding down leaves goes to the largest remainders."""
    whole = np.floor(joint + 1e-9).astype(np.int64)
    left = np.rint(joint.sum(axis=1)).astype(np.int64) - whole.sum(axis=1)
    ranks = np.argsort(np.argsort(-(joint - whole), axis=1, kind="stable"), axis=1, kind="stable")
    rounded: Labels = whole + (ranks < left[:, None])
    return rounded
