"""Labels: reading one out of a completion, accuracy, macro F1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from provetune.metrics.base import FloatArray, Metric, weighted_mean

UNKNOWN = -1


def parse_label(completion: str, labels: Sequence[str]) -> str | None:
    """The label that the completion names, or None: the whole text must be one, up to case and a final full stop.

    >>> parse_label(" Refund.", ["refund", "billing"])
    'refund'
    >>> parse_label("refund or billing", ["refund", "billing"]) is None
    True
    """
    text = completion.strip()
    if text in labels:
        return text
    plain = text.rstrip(".").strip().casefold()
    fitting = [label for label in labels if label.casefold() == plain]
    return fitting[0] if len(fitting) == 1 else None


def _right(target: str, completion: str, labels: Sequence[str]) -> tuple[float, ...]:
    return (float(parse_label(completion, labels) == target),)


def _label_pair(target: str, completion: str, labels: Sequence[str]) -> tuple[float, ...]:
    named = parse_label(completion, labels)
    return (float(labels.index(target)), float(UNKNOWN if named is None else labels.index(named)))


def macro_f1(observations: FloatArray, weights: FloatArray) -> FloatArray:
    """Mean over the labels of 2 tp / (2 tp + fp + fn); columns are true and named label, `UNKNOWN` is no class of its own.

    A label that occurs neither as target nor as completion under a weighting is left out of that mean.
    """
    truth, named = observations[:, 0].astype(int), observations[:, 1].astype(int)
    count = int(max(truth.max(), named.max())) + 1
    hit = truth == named
    columns = np.arange(count)
    tp = weights @ (hit[:, None] & (truth[:, None] == columns)).astype(float)
    support = weights @ (truth[:, None] == columns).astype(float)
    claimed = weights @ (named[:, None] == columns).astype(float)
    both = support + claimed
    with np.errstate(invalid="ignore", divide="ignore"):
        f1 = np.where(both > 0, 2 * tp / both, 0.0)
    present = (both > 0).sum(axis=1)
    mean: FloatArray = f1.sum(axis=1) / np.maximum(present, 1)
    return mean


ACCURACY = Metric("accuracy", 1, "binary", _right, weighted_mean)
F1_MACRO = Metric("f1_macro", 1, "corpus", _label_pair, macro_f1)
