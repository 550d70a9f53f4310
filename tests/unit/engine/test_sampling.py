"""Draws against the distribution written out, and the nucleus against transformers' own warpers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st
from scipy.stats import chisquare
from transformers import TemperatureLogitsWarper, TopPLogitsWarper

from provetune.engine.sampling import Sampling, draw, probabilities

SCORES = torch.tensor([1.0, -2.0, 0.5, 1.5, 0.0, -1.0])


@pytest.mark.parametrize(("temperature", "top_p", "kept"), [(1.0, 1.0, 6), (0.7, 0.9, 3), (2.0, 0.6, 3), (0.3, 0.5, 1)])
def test_draws_follow_the_distribution(temperature: float, top_p: float, kept: int) -> None:
    weights = np.exp(SCORES.double().numpy() / temperature)
    share = weights / weights.sum()
    order = np.argsort(-share)
    inside = order[: 1 + int(np.searchsorted(share[order].cumsum(), top_p))] if top_p < 1 else order
    assert len(inside) == kept
    settings = Sampling(temperature, top_p, seed=3)
    rows = 4000
    tokens = draw(SCORES.expand(rows, -1), [settings] * rows, [settings.numbers(row).random() for row in range(rows)])
    counts = np.bincount(tokens, minlength=len(SCORES))
    assert counts[np.setdiff1d(order, inside)].sum() == 0
    expected = rows * share[inside] / share[inside].sum()
    assert kept == 1 or chisquare(counts[inside], expected).pvalue > 0.001


@tried(deadline=None)
@given(
    seed=st.integers(0, 10_000),
    width=st.sampled_from([3, 40, 255, 256, 257, 1000]),
    spread=st.sampled_from([0.1, 1.0, 6.0]),
    temperature=st.sampled_from([0.2, 0.8, 1.0, 1.7]),
    top_p=st.sampled_from([0.05, 0.5, 0.9, 0.999, 1.0]),
)
def test_weights_equal_the_warpers_of_transformers(seed: int, width: int, spread: float, temperature: float, top_p: float) -> None:
    logits = spread * torch.randn(3, width, generator=torch.Generator().manual_seed(seed))
    ids = torch.zeros(3, 1, dtype=torch.long)
    warped = TemperatureLogitsWarper(temperature)(ids, logits)
    if top_p < 1:
        warped = TopPLogitsWarper(top_p)(ids, warped)
    found = probabilities(logits, [Sampling(temperature, top_p)] * 3)
    exact = (logits.double() / temperature).softmax(-1)
    larger = (exact[:, None, :] * (exact[:, None, :] > exact[:, :, None])).sum(-1)
    clear = (larger - top_p).abs() > 1e-5  # their sums are in float32
    assert torch.equal((found > 0)[clear], (warped > -torch.inf)[clear])
    if bool(clear.all()):
        torch.testing.assert_close(found / found.sum(-1, keepdim=True), warped.softmax(-1), rtol=1e-5, atol=1e-9)


def test_each_row_has_settings_of_its_own() -> None:
    logits = torch.randn(3, 600, generator=torch.Generator().manual_seed(0))
    settings = [Sampling(0.5, 0.9), Sampling(1.5, 1.0), Sampling(3.0, 0.2)]
    together = probabilities(logits, settings)
    for row, one in enumerate(settings):
        torch.testing.assert_close(together[row], probabilities(logits[row : row + 1], [one])[0], rtol=1e-6, atol=0)


def test_a_row_without_a_nucleus_keeps_its_tail_beside_one_that_has_one() -> None:
    found = probabilities(torch.tensor([[0.0, -30.0, -31.0]] * 2), [Sampling(1.0), Sampling(1.0, 0.9)])
    assert (found > 0).tolist() == [[True, True, True], [True, False, False]]


@pytest.mark.parametrize("uniform", [0.0, 0.5, 1 - 2**-53])
def test_a_token_without_weight_is_never_drawn(uniform: float) -> None:
    draws = torch.Generator().manual_seed(1)
    logits = torch.randn(200, 50, generator=draws)
    logits = logits.masked_fill(torch.rand(200, 50, generator=draws) < 0.5, -torch.inf)
    logits[:, 7] = 0.0
    logits[:, [0, 49]] = -torch.inf
    for token, row in zip(draw(logits, [Sampling(1.0)] * 200, [uniform] * 200), logits, strict=True):
        assert row[token] > -torch.inf


def test_a_temperature_near_zero_is_the_likeliest_token() -> None:
    logits = 10 * torch.randn(20, 50, generator=torch.Generator().manual_seed(4))
    assert draw(logits, [Sampling(1e-38, 0.9)] * 20, [0.5] * 20) == logits.argmax(-1).tolist()


def test_numbers_depend_on_seed_and_row_alone() -> None:
    def first(seed: int, row: int) -> bytes:
        return Sampling(1.0, seed=seed).numbers(row).random(4).tobytes()

    assert first(1, 2) == first(1, 2)
    assert len({first(seed, row) for seed in range(5) for row in range(5)}) == 25


def test_the_last_digits_of_the_logits_seldom_matter() -> None:
    """Another batch layout changes logits by rounding; a draw by rank would then swap tokens that are nearly as likely."""
    draws = torch.Generator().manual_seed(2)
    logits = 0.01 * torch.randn(2000, 500, generator=draws)
    nudged = logits + 1e-6 * torch.randn(2000, 500, generator=draws)
    settings = [Sampling(1.0, 0.9)] * 2000
    uniform = np.random.default_rng(0).random(2000).tolist()
    changed = sum(a != b for a, b in zip(draw(logits, settings, uniform), draw(nudged, settings, uniform), strict=True))
    assert changed <= 10
