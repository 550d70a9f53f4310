"""The loss head against torch's own cross-entropy."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy, linear

from provetune.engine import loss
from provetune.engine.head import Head
from provetune.engine.loss import Teacher, labelled_cross_entropy
from tests.models import relative_error

N, WIDTH, VOCABULARY, DIVISOR = 37, 24, 101, 19.0


def inputs(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    hidden = torch.randn(N, WIDTH, generator=draw).requires_grad_()
    weight = torch.randn(VOCABULARY, WIDTH, generator=draw).requires_grad_()
    return hidden, weight, torch.randint(VOCABULARY, (N,), generator=draw)


def expected(scale: float = 1.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(loss, gradient of hidden, gradient of weight) by torch, in float64."""
    hidden, weight, targets = inputs()
    h, w = hidden.detach().double().requires_grad_(), weight.detach().double().requires_grad_()
    value = cross_entropy(linear(h, w), targets, reduction="sum") / DIVISOR
    (value * scale).backward()
    assert h.grad is not None and w.grad is not None
    return value.detach(), h.grad, w.grad


@pytest.mark.parametrize("elements", [1, VOCABULARY * 5, VOCABULARY * N, 2**22])
def test_loss_and_gradients_equal_torch(elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "CHUNK_ELEMENTS", elements)
    hidden, weight, targets = inputs()
    found = labelled_cross_entropy(hidden, Head(weight), targets, DIVISOR)
    found.backward()
    value, d_hidden, d_weight = expected()
    assert hidden.grad is not None and weight.grad is not None
    assert float(found.detach()) == pytest.approx(float(value), rel=1e-6)
    assert relative_error(hidden.grad, d_hidden) < 1e-6
    assert relative_error(weight.grad, d_weight) < 1e-6


def test_the_scale_from_upstream_reaches_both_gradients() -> None:
    hidden, weight, targets = inputs()
    (3.5 * labelled_cross_entropy(hidden, Head(weight), targets, DIVISOR)).backward()
    _, d_hidden, d_weight = expected(3.5)
    assert hidden.grad is not None and weight.grad is not None
    assert relative_error(hidden.grad, d_hidden) < 1e-6 and relative_error(weight.grad, d_weight) < 1e-6


def test_a_frozen_head_gets_no_gradient() -> None:
    hidden, weight, targets = inputs()
    frozen = weight.detach()
    labelled_cross_entropy(hidden, Head(frozen), targets, DIVISOR).backward()
    assert frozen.grad is None
    assert hidden.grad is not None and relative_error(hidden.grad, expected()[1]) < 1e-6


def test_a_trained_head_on_frozen_states() -> None:
    hidden, weight, targets = inputs()
    labelled_cross_entropy(hidden.detach(), Head(weight), targets, DIVISOR).backward()
    assert weight.grad is not None and relative_error(weight.grad, expected()[2]) < 1e-6


def test_without_gradients_only_the_value() -> None:
    hidden, weight, targets = inputs()
    with torch.no_grad():
        found = labelled_cross_entropy(hidden, Head(weight), targets, DIVISOR)
    assert not found.requires_grad and float(found) == pytest.approx(float(expected()[0]), rel=1e-6)


def test_a_uniform_model_costs_the_logarithm_of_the_vocabulary() -> None:
    hidden, weight, targets = inputs()
    found = labelled_cross_entropy(torch.zeros_like(hidden), Head(weight), targets, N)
    assert float(found.detach()) == pytest.approx(4.615120516841261, rel=1e-6)  # ln 101


def test_large_logits_stay_finite() -> None:
    hidden = torch.tensor([[1e4, 0.0], [-1e4, 0.0]], requires_grad=True)
    weight = torch.eye(2)
    found = labelled_cross_entropy(hidden, Head(weight), torch.tensor([0, 0]), 1.0)
    found.backward()
    assert float(found.detach()) == pytest.approx(1e4) and hidden.grad is not None and torch.isfinite(hidden.grad).all()


def test_bfloat16_states_keep_a_float32_loss() -> None:
    hidden, weight, targets = inputs()
    found = labelled_cross_entropy(hidden.bfloat16(), Head(weight), targets, DIVISOR)
    assert found.dtype == torch.float32 and float(found.detach()) == pytest.approx(float(expected()[0]), rel=1e-2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = labelled_cross_entropy(hidden, Head(weight), targets, DIVISOR)
    assert float(under_autocast.detach()) == pytest.approx(float(found.detach()), rel=1e-6)


@pytest.mark.parametrize(("scale", "cap"), [(1.0, None), (0.25, None), (1.0, 3.0), (2.0, 5.0)])
def test_bias_scale_and_cap_of_the_head(scale: float, cap: float | None) -> None:
    hidden, weight, targets = inputs()
    bias = torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(5)).requires_grad_()
    labelled_cross_entropy(hidden, Head(weight, bias, scale, cap), targets, DIVISOR).backward()
    h, w, b = (x.detach().double().requires_grad_() for x in (hidden, weight, bias))
    z = linear(h, w, b) * scale
    z = z if cap is None else torch.tanh(z / cap) * cap
    (cross_entropy(z, targets, reduction="sum") / DIVISOR).backward()
    for ours, theirs in ((hidden, h), (weight, w), (bias, b)):
        assert ours.grad is not None and theirs.grad is not None and relative_error(ours.grad, theirs.grad) < 1e-6


@pytest.mark.parametrize("elements", [VOCABULARY * 5, 2**22])
@pytest.mark.parametrize("pull", [0.0, 0.3, 4.0])
def test_the_pull_to_a_teacher_equals_torch(pull: float, elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "CHUNK_ELEMENTS", elements)
    hidden, weight, targets = inputs()
    base_hidden, base_weight, _ = inputs(seed=9)
    teacher = Teacher(base_hidden.detach(), Head(base_weight.detach()), pull)
    found = labelled_cross_entropy(hidden, Head(weight), targets, DIVISOR, teacher)
    found.backward()
    h, w = hidden.detach().double().requires_grad_(), weight.detach().double().requires_grad_()
    logs = torch.log_softmax(linear(h, w), -1)
    base = torch.log_softmax(linear(base_hidden.detach().double(), base_weight.detach().double()), -1)
    kl = torch.nn.functional.kl_div(logs, base, log_target=True, reduction="sum")
    wanted = pull * kl / DIVISOR
    wanted.backward()
    assert hidden.grad is not None and weight.grad is not None and h.grad is not None and w.grad is not None
    assert float(found.detach()) == pytest.approx(float(wanted.detach()), rel=1e-6)
    assert relative_error(hidden.grad, h.grad) < 1e-5 and relative_error(weight.grad, w.grad) < 1e-5


def test_a_teacher_that_agrees_pulls_nowhere() -> None:
    hidden, weight, targets = inputs()
    teacher = Teacher(hidden.detach(), Head(weight.detach()), 7.0)
    found = labelled_cross_entropy(hidden, Head(weight), targets, DIVISOR, teacher)
    found.backward()
    assert hidden.grad is not None
    assert abs(float(found.detach())) < 1e-4 and float(hidden.grad.abs().max()) < 1e-6
