"""The confident joint against cleanlab, its authors' library, and against noise that is known."""

from __future__ import annotations

import numpy as np
import pytest
from cleanlab.count import compute_confident_joint
from cleanlab.filter import find_label_issues

from provetune.audit.confident_learning import Labels, Matrix, calibrated_joint, flagged


def noisy(rows: int, count: int, noise: float, seed: int) -> tuple[Labels, Matrix, set[int]]:
    """Labels of which a share is wrong, and probabilities of a fairly good classifier of the true ones."""
    rng = np.random.default_rng(seed)
    true = rng.integers(count, size=rows)
    scores = rng.normal(size=(rows, count))
    scores[np.arange(rows), true] += 4
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    wrong = rng.random(rows) < noise
    labels = np.where(wrong, (true + rng.integers(1, count, size=rows)) % count, true)
    return labels, probabilities, set(np.flatnonzero(wrong).tolist())


@pytest.mark.parametrize(("count", "noise"), [(2, 0.05), (5, 0.1), (12, 0.2)])
def test_agrees_with_cleanlab(count: int, noise: float) -> None:
    labels, probabilities, wrong = noisy(3000, count, noise, seed=count)
    ours = set(flagged(labels, probabilities).tolist())
    theirs = set(find_label_issues(labels, probabilities, n_jobs=1, return_indices_ranked_by="self_confidence").tolist())
    assert len(ours & theirs) / len(ours | theirs) > 0.85
    assert len(ours & wrong) / len(wrong) >= len(theirs & wrong) / len(wrong) - 0.02
    assert len(ours & wrong) / len(ours) >= len(theirs & wrong) / len(theirs) - 0.02


def test_the_joint_agrees_with_cleanlab() -> None:
    labels, probabilities, _ = noisy(4000, 4, 0.15, seed=1)
    theirs = compute_confident_joint(labels, probabilities, calibrate=True)
    assert np.abs(calibrated_joint(labels, probabilities) - theirs).max() < 0.01 * len(labels)


def test_rows_of_the_joint_sum_to_the_counts() -> None:
    labels, probabilities, _ = noisy(500, 6, 0.1, seed=2)
    assert np.allclose(calibrated_joint(labels, probabilities).sum(axis=1), np.bincount(labels, minlength=6))


def test_the_most_doubtful_comes_first_and_sure_rows_never() -> None:
    labels, probabilities, wrong = noisy(2000, 5, 0.1, seed=3)
    found = flagged(labels, probabilities)
    own = probabilities[found, labels[found]]
    assert np.all(np.diff(own) >= 0)
    assert np.all(probabilities[found].argmax(axis=1) != labels[found])
    assert np.mean([place in wrong for place in found[:50]]) > 0.95


def test_a_clean_set_is_hardly_flagged() -> None:
    labels, probabilities, _ = noisy(2000, 5, 0.0, seed=4)
    assert len(flagged(labels, probabilities)) < 0.03 * 2000


def test_a_label_without_rows_and_one_with_few() -> None:
    labels = np.array([0] * 30 + [2] * 4)
    probabilities = np.full((34, 3), 1 / 3)
    probabilities[30:] = (0.9, 0.05, 0.05)
    assert flagged(labels, probabilities).tolist() == []  # five rows of a label or fewer are left alone
