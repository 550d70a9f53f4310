"""Label bias: the papers' formulas on numbers worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from provetune.stats.label_bias import label_probabilities, prior_of, without_prior


def test_contextual_calibration_by_hand() -> None:
    # W = diag(p_cf)^-1 with p_cf the mean of two inputs without content: (0.8, 0.2)
    prior = prior_of(np.array([[0.9, 0.1], [0.7, 0.3]]))
    assert prior == pytest.approx([0.8, 0.2])
    # W p = (0.7 / 0.8, 0.3 / 0.2) = (0.875, 1.5), in shares (7, 12) / 19: the second label wins although the first is likelier
    assert without_prior(np.array([[0.7, 0.3]]), prior)[0] == pytest.approx([7 / 19, 12 / 19])


def test_batch_calibration_by_hand() -> None:
    # the class prior is the mean over the batch: (0.75, 0.25); shifts of log p by it put the border where the batch is in the middle
    batch = np.array([[0.9, 0.1], [0.8, 0.2], [0.55, 0.45]])
    prior = prior_of(batch)
    assert prior == pytest.approx([0.75, 0.25])
    found = without_prior(batch, prior)
    assert found[:, 1] == pytest.approx([0.4 / 1.6, 0.8 / (0.8 / 0.75 + 0.8), 1.8 / (0.55 / 0.75 + 1.8)])
    assert found.argmax(axis=1).tolist() == [0, 0, 1]
    logits = np.log(batch) - np.log(prior)
    assert (logits.argmax(axis=1) == found.argmax(axis=1)).all()


def test_a_flat_prior_changes_nothing() -> None:
    chances = label_probabilities(np.log(np.random.default_rng(0).random((20, 5))))
    assert chances.sum(axis=1) == pytest.approx(np.ones(20))
    assert without_prior(chances, np.full(5, 0.2)) == pytest.approx(chances)


def test_a_bias_of_the_model_falls_out_whatever_it_is() -> None:
    draw = np.random.default_rng(1)
    fair = label_probabilities(draw.normal(size=(40, 4)))
    bias = np.array([5.0, 0.0, -3.0, 1.0])
    biased = label_probabilities(np.log(fair) + bias)
    empty = label_probabilities(bias[None])  # what is asked without content is answered by the bias alone
    assert without_prior(biased, prior_of(empty)) == pytest.approx(fair)


def test_very_unlikely_texts_do_not_underflow() -> None:
    found = label_probabilities(np.array([[-2000.0, -2001.0]]))
    assert found[0] == pytest.approx([1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1))])
    assert without_prior(np.array([[1.0, 0.0]]), np.array([1.0, 0.0]))[0] == pytest.approx([1.0, 0.0])
