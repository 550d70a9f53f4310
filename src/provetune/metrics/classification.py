"""Labels: reading one out of a completion, accuracy, F1, Matthews correlation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from provetune.metrics.base import FloatArray, Metric, Need, Row, weighted_mean

UNKNOWN = -1
LABELS: frozenset[Need] = frozenset({"labels"})


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


def _right(row: Row) -> tuple[float, ...]:
    return (float(parse_label(row.completion, row.labels) == row.target),)


def label_pair(row: Row) -> tuple[float, ...]:
    """Numbers of the row's label and of the label that the completion names, `UNKNOWN` where it names none."""
    named = parse_label(row.completion, row.labels)
    return (float(row.labels.index(row.target)), float(UNKNOWN if named is None else row.labels.index(named)))


def _counts(observations: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Right, true and named rows of each label `[B, L]`; `UNKNOWN` is no label."""
    truth, named = observations[:, 0].astype(int), observations[:, 1].astype(int)
    columns = np.arange(int(max(truth.max(), named.max())) + 1)
    of_truth = truth[:, None] == columns
    tp = weights @ ((truth == named)[:, None] & of_truth).astype(float)
    return tp, weights @ of_truth.astype(float), weights @ (named[:, None] == columns).astype(float)


def _share(part: FloatArray, whole: FloatArray) -> FloatArray:
    """`part` / `whole`, 0 where there is nothing."""
    found: FloatArray = np.divide(part, whole, out=np.zeros_like(part, dtype=float), where=whole > 0)
    return found


def macro_f1(observations: FloatArray, weights: FloatArray) -> FloatArray:
    """Mean over the labels of 2 tp / (2 tp + fp + fn); columns are true and named label, `UNKNOWN` is no class of its own.

    A label that occurs neither as target nor as completion under a weighting is left out of that mean.
    """
    tp, support, claimed = _counts(observations, weights)
    f1 = _share(2 * tp, support + claimed)
    mean: FloatArray = f1.sum(axis=1) / np.maximum((support + claimed > 0).sum(axis=1), 1)
    return mean


def weighted_f1(observations: FloatArray, weights: FloatArray) -> FloatArray:
    """Mean of the labels' F1, each label weighing as much as it has rows."""
    tp, support, claimed = _counts(observations, weights)
    mean: FloatArray = (_share(2 * tp, support + claimed) * support).sum(axis=1) / support.sum(axis=1)
    return mean


def micro_f1(observations: FloatArray, weights: FloatArray) -> FloatArray:
    """2 tp / (2 tp + fp + fn) over all labels together; above accuracy where completions name no label."""
    tp, support, claimed = (counts.sum(axis=1) for counts in _counts(observations, weights))
    return _share(2 * tp, support + claimed)


def balanced_accuracy(observations: FloatArray, weights: FloatArray) -> FloatArray:
    """Mean over the labels that have rows of the share of their rows that is right."""
    tp, support, _ = _counts(observations, weights)
    mean: FloatArray = _share(tp, support).sum(axis=1) / (support > 0).sum(axis=1)
    return mean


def matthews(observations: FloatArray, weights: FloatArray) -> FloatArray:
    """Correlation of true and named label (Gorodkin 2004); 0 where either never varies, save that all right is 1.

    A completion that names no label counts as a column of its own in the table, as anything else would raise the value.
    """
    tp, support, claimed = _counts(observations, weights)
    rows, right = support.sum(axis=1), tp.sum(axis=1)
    stray = rows - claimed.sum(axis=1)
    covariance = right * rows - (support * claimed).sum(axis=1)
    spread = (rows**2 - (support**2).sum(axis=1)) * (rows**2 - (claimed**2).sum(axis=1) - stray**2)
    found = _share(covariance, np.sqrt(np.maximum(spread, 0)))
    value: FloatArray = np.where(np.abs(right - rows) < 1e-9 * rows, 1.0, np.clip(found, -1, 1))
    return value


ACCURACY = Metric("accuracy", 1, "binary", _right, weighted_mean, needs=LABELS)
F1_MACRO = Metric("f1_macro", 1, "corpus", label_pair, macro_f1, needs=LABELS)
F1_MICRO = Metric("f1_micro", 1, "corpus", label_pair, micro_f1, needs=LABELS)
F1_WEIGHTED = Metric("f1_weighted", 1, "corpus", label_pair, weighted_f1, needs=LABELS)
BALANCED_ACCURACY = Metric("balanced_accuracy", 1, "corpus", label_pair, balanced_accuracy, needs=LABELS)
MCC = Metric("mcc", 1, "corpus", label_pair, matthews, bounds=(-1.0, 1.0), needs=LABELS)
