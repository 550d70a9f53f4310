"""Attention over packed rows against each row alone: values and gradients, both kernels, windows."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from provetune.engine import kernels
from provetune.engine.attention import Block, PackLayout, attend_pieces, blocks_of
from provetune.engine.kernels import DENSE, FUSED, Kernel, Sight, Triple
from tests.models import relative_error

WIDTH = 16
GROUPS = st.lists(st.tuples(st.integers(0, 9), st.lists(st.integers(1, 9), min_size=1, max_size=5)), min_size=1, max_size=3)
FIXED = [(7, [5, 1, 8, 8, 3]), (0, [4, 6]), (3, [2])]
Groups = list[tuple[int, list[int]]]


def tokens(groups: Groups) -> int:
    return sum(prefix + sum(own) for prefix, own in groups)


def tensors(groups: Groups, heads: int = 4, kv_heads: int = 2, seed: int = 0) -> Triple:
    draw = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(tokens(groups), count, WIDTH, generator=draw) for count in (heads, kv_heads, kv_heads))
    return q.requires_grad_(), k.requires_grad_(), v.requires_grad_()


def alone(qkv: Triple, groups: Groups, scale: float, window: int | None) -> torch.Tensor:
    """Softmax attention of every row with its prefix, written out; a prefix' own values are those of its first row."""
    q, k, v = (x.double() for x in qkv)
    repeat = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(repeat, 1), v.repeat_interleave(repeat, 1)
    out, start = torch.zeros_like(q), 0
    for prefix, own in groups:
        begin = start + prefix
        for length in own:
            at = torch.tensor([*range(start, start + prefix), *range(begin, begin + length)])
            scores = torch.einsum("ihd,jhd->hij", q[at], k[at]) * scale
            distance = torch.arange(len(at))[:, None] - torch.arange(len(at))[None, :]
            seen = (distance >= 0) & (distance < (window or len(at)))
            found = torch.einsum("hij,jhd->ihd", torch.softmax(scores.masked_fill(~seen, float("-inf")), -1), v[at])
            out = out.index_copy(0, at, found)
            begin += length
        start = begin
    return out


def use(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provetune.engine.attention.kernel_for", lambda q, v, sight: kernel)


@pytest.mark.parametrize("kernel", [FUSED, DENSE], ids=["fused", "dense"])
@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 4), (4, 2), (4, 1)])
def test_values_and_gradients_equal_rows_alone(kernel: Kernel, heads: int, kv_heads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    use(kernel, monkeypatch)
    ours, theirs = tensors(FIXED, heads, kv_heads), tensors(FIXED, heads, kv_heads)
    found = PackLayout.of(FIXED).attend(0, ours, 0.3, None)
    wanted = alone(theirs, FIXED, 0.3, None)
    assert relative_error(found, wanted) < 1e-6
    upstream = torch.randn(found.shape, generator=torch.Generator().manual_seed(8))
    found.backward(upstream)
    wanted.backward(upstream.double())
    for mine, twin in zip(ours, theirs, strict=True):
        assert mine.grad is not None and twin.grad is not None and relative_error(mine.grad, twin.grad) < 1e-6


@settings(max_examples=40, deadline=None)
@given(groups=GROUPS, seed=st.integers(0, 99), window=st.sampled_from([None, 1, 3, 6, 30]))
def test_any_groups_and_windows(groups: Groups, seed: int, window: int | None) -> None:
    ours, theirs = tensors(groups, seed=seed), tensors(groups, seed=seed)
    found = PackLayout.of(groups).attend(0, ours, 0.25, window)
    wanted = alone(theirs, groups, 0.25, window)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)
    found.square().sum().backward()
    wanted.square().sum().backward()
    for mine, twin in zip(ours, theirs, strict=True):
        assert mine.grad is not None and twin.grad is not None
        torch.testing.assert_close(mine.grad, twin.grad, rtol=1e-4, atol=1e-4)


def test_many_queries_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provetune.engine.attention.CROSS_QUERIES", 4)
    layout = PackLayout.of(FIXED)
    assert len(layout.crosses) == 8  # 25 own tokens behind the first prefix, 2 behind the last
    qkv = tensors(FIXED)
    torch.testing.assert_close(layout.attend(0, qkv, 0.3, None).double(), alone(qkv, FIXED, 0.3, None), rtol=1e-5, atol=1e-5)


def test_rows_behind_a_known_prefix_equal_those_with_it() -> None:
    groups: Groups = [(7, [5, 2, 6])]
    q, k, v = (x.detach() for x in tensors(groups))
    whole = PackLayout.of(groups).attend(0, (q, k, v), 0.3, None)
    behind = PackLayout.behind(7, [5, 2, 6])
    keys, values = torch.cat([k[7:], k[:7]]), torch.cat([v[7:], v[:7]])
    found, _ = attend_pieces(q[7:], keys, values, behind.pieces(0.3, None))
    torch.testing.assert_close(found, whole[7:], rtol=1e-5, atol=1e-5)
    assert behind.positions.tolist() == PackLayout.of(groups).positions[:, 7:].tolist()


def test_positions_restart_behind_the_prefix() -> None:
    assert PackLayout.of([(2, [1, 3]), (0, [2])]).positions.tolist() == [[0, 1, 2, 2, 3, 4, 0, 1]]


@pytest.mark.parametrize("kernel", [FUSED, DENSE], ids=["fused", "dense"])
def test_bfloat16_stays_near(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    use(kernel, monkeypatch)
    exact = tensors(FIXED)
    rough: Triple = tuple(x.detach().bfloat16().requires_grad_() for x in exact)  # type: ignore[assignment]
    found = PackLayout.of(FIXED).attend(0, rough, 0.3, None)
    wanted = alone(exact, FIXED, 0.3, None)
    assert found.dtype == torch.bfloat16 and relative_error(found, wanted) < 2e-2
    found.float().sum().backward()
    wanted.sum().backward()
    assert rough[2].grad is not None and exact[2].grad is not None and relative_error(rough[2].grad, exact[2].grad) < 3e-2


def test_gradients_stay_within_their_group() -> None:
    q, k, v = tensors(FIXED)
    PackLayout.of(FIXED).attend(0, (q, k, v), 0.3, None)[32:42].sum().backward()  # the second group
    for x in (q, k, v):
        assert x.grad is not None and torch.isfinite(x.grad).all()
        assert not x.grad[:32].any() and not x.grad[42:].any()
    assert v.grad is not None and v.grad[32:42].abs().sum() > 0


@given(lengths=st.lists(st.integers(1, 300), min_size=1, max_size=30))
def test_blocks_cover_the_tokens_and_are_not_filled_up_much(lengths: list[int]) -> None:
    blocks = blocks_of(5, lengths, "cpu")
    assert blocks[0].start == 5 and sum(block.rows for block in blocks) == len(lengths)
    for before, after in zip(blocks, blocks[1:], strict=False):
        assert before.start + before.tokens == after.start
    for block in blocks:
        assert block.rows * block.longest - block.tokens <= max(64, 0.25 * block.tokens)


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_a_block_leads_there_and_back(lengths: list[int]) -> None:
    block = Block.of(2, lengths, "cpu")
    x = torch.arange(2.0 + sum(lengths) + 3)[:, None]
    back = torch.full_like(x, -1)
    block.put(back, block.take(x))
    assert torch.equal(back[2 : 2 + sum(lengths)], x[2 : 2 + sum(lengths)])
    assert float(block.take(torch.ones_like(x), blank=True).sum()) == sum(lengths)


def test_the_rule_takes_dense_for_few_keys_and_windows() -> None:
    short, long = torch.zeros(2, 8, 4, WIDTH), torch.zeros(2, 300, 4, WIDTH)
    causal = Sight(1.0, True)
    assert kernels.kernel_for(short, short, causal) is DENSE and kernels.kernel_for(long, long, causal) is FUSED
    assert kernels.kernel_for(long, long, Sight(1.0, True, 5)) is DENSE
    assert kernels.kernel_for(long.bfloat16(), long.bfloat16(), causal) is DENSE
    huge = torch.zeros(1, 9000, 32, 1, dtype=torch.bfloat16)
    assert kernels.kernel_for(huge, huge, causal) is FUSED
