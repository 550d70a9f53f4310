"""Calibration, perplexity, bits per byte and likeness of meaning against published values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from provetune.metrics import METRICS
from provetune.metrics.base import Row
from provetune.metrics.calibration import calibration_error, null_band
from provetune.metrics.semantic import greedy_f1, similarities, word_vectors
from provetune.models.embedding import LetterStatistics
from tests.unit.metrics.rows import value

LABELS = ("a", "b", "c")


@pytest.mark.parametrize(("norm", "wanted"), [("l1", 0.29), ("l2", 0.2918), ("max", 0.3167)])
def test_calibration_error_of_two_bins(norm: str, wanted: float) -> None:
    confidences, right = np.array([0.25, 0.25, 0.55, 0.75, 0.75]), np.array([0.0, 0, 1, 1, 1])
    found = calibration_error(confidences, right, np.ones((1, 5)), bins=2, norm=norm)  # type: ignore[arg-type]
    assert found[0] == pytest.approx(wanted, abs=5e-5)


PROBABILITIES = [(0.25, 0.20, 0.55), (0.55, 0.05, 0.40), (0.10, 0.30, 0.60), (0.9, 0.05, 0.05)]
ROWS = [Row(LABELS[y], "", LABELS, probabilities=p) for y, p in zip((0, 1, 2, 0), PROBABILITIES, strict=True)]


@pytest.mark.parametrize(("norm", "wanted"), [("l1", 0.2), ("l2", 0.2082), ("max", 0.2333)])
def test_calibration_error_of_three_labels(norm: str, wanted: float) -> None:
    observed = np.array([METRICS["ece"].observe(row) for row in ROWS], dtype=float)
    right = (observed[:, 0] == observed[:, 1]).astype(float)
    found = calibration_error(observed[:, 2], right, np.ones((1, 4)), bins=3, norm=norm)  # type: ignore[arg-type]
    assert found[0] == pytest.approx(wanted, abs=5e-5)


@pytest.mark.parametrize(("rows", "wanted"), [(50, 0.103), (100, 0.069), (300, 0.040), (1000, 0.022)])
def test_an_honest_model_has_a_calibration_error_too_and_the_band_says_so(rows: int, wanted: float) -> None:
    draw = np.random.default_rng(rows)
    ones = np.ones((1, rows))
    errors = []
    for _ in range(150):
        confidences = draw.uniform(0.5, 1, rows)
        errors.append(calibration_error(confidences, (draw.random(rows) < confidences).astype(float), ones)[0])
    assert np.mean(errors) == pytest.approx(wanted, rel=0.1)
    low, high = null_band(draw.uniform(0.5, 1, rows), seed=1)
    assert low < wanted < high and np.mean([low <= error <= high for error in errors]) == pytest.approx(0.95, abs=0.05)


def test_the_band_stands_beside_the_value() -> None:
    assert "|if honest:0." in METRICS["ece"].signature(ROWS)
    assert "honest" not in METRICS["ece"].signature([Row("a", "a", LABELS)])


def test_brier_equals_scikit_learn() -> None:
    wanted = brier_score_loss([0, 1, 2, 0], PROBABILITIES, labels=[0, 1, 2], scale_by_half=False)
    assert value("brier", ROWS) == pytest.approx(wanted)


def test_perplexity_is_over_the_corpus_never_a_mean_of_rows() -> None:
    rows = [Row("x", "", nats=mean * count, tokens=count) for mean, count in ((2.0, 100), (2.1, 120), (8.0, 3))]
    assert value("perplexity", rows) == pytest.approx(8.45, abs=0.005)  # the mean of the rows' own would be 998.8
    uniform = [Row("x", "", nats=count * math.log(8192), tokens=count) for count in (1, 7, 300)]
    assert value("perplexity", uniform) == pytest.approx(8192)


def test_bits_per_byte_do_not_ask_how_the_text_was_cut() -> None:
    # 8 fair choices a byte are 8 bits a byte, in 2 tokens or in 40
    for tokens in (2, 40):
        assert value("bits_per_byte", [Row("naïve", "", nats=6 * 8 * math.log(2), tokens=tokens)]) == pytest.approx(8.0)


def test_hopeless_likelihoods_stay_within_bounds() -> None:
    rows = [Row("x", "", nats=1e6, tokens=1)]
    assert value("perplexity", rows) == pytest.approx(1e9) and value("bits_per_byte", rows) == 64.0


def test_every_word_finds_its_closest_word() -> None:
    # by hand: recall (1 + 0.6 + 0) / 3, precision (1 + 0.6) / 2
    target = np.eye(3, dtype=np.float32)
    completion = np.array([[2, 0, 0], [0, 0.6, -0.8]], dtype=np.float32)
    recall, precision = 1.6 / 3, 1.6 / 2
    assert greedy_f1(target, completion) == pytest.approx(2 * recall * precision / (recall + precision))
    assert greedy_f1(target, completion[:0]) == 0.0


def test_likeness_of_texts_by_their_words() -> None:
    texts = ["the parcel arrived late", "my invoice is wrong", "你好"]
    embedder = LetterStatistics()
    embedder.embed(sorted({word for text in texts for word in text.split()}))
    found = similarities(
        [texts[0], texts[0], texts[0], texts[2], texts[0]],
        [texts[0], "late arrived the parcel", "the parcels arrive late", texts[2], ""],
        word_vectors(embedder),
    )
    assert found[0] == 1.0 and found[1] == pytest.approx(1.0, abs=1e-5) and found[3] == 1.0 and found[4] == 0.0
    assert similarities([texts[0]], [texts[1]], word_vectors(embedder))[0] < found[2] <= 1


def test_a_confidence_of_one_stands_in_the_last_bin() -> None:
    found = calibration_error(np.array([1.0, 1.0, 0.95, 0.05]), np.array([1.0, 0.0, 1.0, 0.0]), np.ones((1, 4)))
    assert found[0] == pytest.approx((abs(2 - 2.95) + 0.05) / 4)
