"""Attention over packed rows against each row alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from provetune.engine.attention import RowLayout, row_attention

LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=6)
ROWS = [5, 1, 8, 8, 3]


def slow_layout(lengths: list[int]) -> tuple[list[int], list[int], list[int]]:
    """(positions, to_grid, from_grid) by counting cell by cell."""
    positions, to_grid, from_grid, token = [], [], [], 0
    for row, length in enumerate(lengths):
        for column in range(max(lengths)):
            if column < length:
                positions.append(column)
                from_grid.append(row * max(lengths) + column)
                to_grid.append(token)
                token += 1
            else:
                to_grid.append(0)
    return positions, to_grid, from_grid


@given(lengths=LENGTHS)
def test_layout_against_its_slow_twin(lengths: list[int]) -> None:
    layout = RowLayout.of(lengths)
    positions, to_grid, from_grid = slow_layout(lengths)
    assert (layout.rows, layout.longest) == (len(lengths), max(lengths))
    assert layout.positions.tolist() == [positions]
    assert layout.to_grid.tolist() == to_grid
    assert layout.from_grid.tolist() == from_grid


@given(lengths=LENGTHS)
def test_the_grid_leads_back_to_every_token(lengths: list[int]) -> None:
    layout = RowLayout.of(lengths)
    tokens = torch.arange(sum(lengths))
    assert torch.equal(tokens[layout.to_grid][layout.from_grid], tokens)


def alone(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, lengths: list[int]) -> torch.Tensor:
    """Softmax attention of every row by itself, written out."""
    repeat = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(repeat, 1), v.repeat_interleave(repeat, 1)
    rows, start = [], 0
    for length in lengths:
        at = slice(start, start + length)
        scores = q[0, :, at] @ k[0, :, at].transpose(1, 2) * q.shape[-1] ** -0.5
        seen = torch.ones(length, length, dtype=torch.bool).tril()
        rows.append(torch.softmax(scores.masked_fill(~seen, float("-inf")), -1) @ v[0, :, at])
        start += length
    return torch.cat(rows, 1).transpose(0, 1)[None]


def tensors(heads: int, kv_heads: int, lengths: list[int], seed: int = 0) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(1, count, sum(lengths), 16, generator=draw) for count in (heads, kv_heads, kv_heads)]


@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 4), (4, 2), (4, 1)])
def test_packed_rows_equal_rows_alone(heads: int, kv_heads: int) -> None:
    q, k, v = tensors(heads, kv_heads, ROWS)
    found, weights = row_attention(torch.nn.Module(), q, k, v, None, rows=RowLayout.of(ROWS))
    assert weights is None and found.shape == (1, sum(ROWS), heads, 16)
    torch.testing.assert_close(found, alone(q, k, v, ROWS), rtol=1e-5, atol=1e-5)


@settings(max_examples=30)
@given(lengths=LENGTHS, seed=st.integers(0, 99))
def test_packed_rows_equal_rows_alone_for_any_lengths(lengths: list[int], seed: int) -> None:
    q, k, v = tensors(4, 2, lengths, seed)
    found, _ = row_attention(torch.nn.Module(), q, k, v, None, rows=RowLayout.of(lengths))
    torch.testing.assert_close(found, alone(q, k, v, lengths), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kv_heads", [4, 2])
def test_bfloat16_takes_the_dense_path_and_stays_near(kv_heads: int) -> None:
    q, k, v = tensors(4, kv_heads, ROWS)
    found, _ = row_attention(torch.nn.Module(), q.bfloat16(), k.bfloat16(), v.bfloat16(), None, rows=RowLayout.of(ROWS))
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), alone(q, k, v, ROWS), rtol=2e-2, atol=2e-2)


def test_the_scale_of_the_model_is_used() -> None:
    q, k, v = tensors(4, 4, ROWS)
    found, _ = row_attention(torch.nn.Module(), q, k, v, None, rows=RowLayout.of(ROWS), scaling=0.5)
    torch.testing.assert_close(found, alone(q * 0.5 * 4, k, v, ROWS), rtol=1e-5, atol=1e-5)  # 16 ** -0.5 is 1 / 4


def test_gradients_stay_within_their_row() -> None:
    q, k, v = (x.requires_grad_() for x in tensors(4, 2, ROWS))
    found, _ = row_attention(torch.nn.Module(), q, k, v, None, rows=RowLayout.of(ROWS))
    found[:, 6:14].sum().backward()  # the third row
    for x in (q, k, v):
        assert x.grad is not None
        outside = torch.cat([x.grad[:, :, :6], x.grad[:, :, 14:]], 2)
        assert not outside.any() and torch.isfinite(x.grad).all()
    assert v.grad is not None and v.grad[:, :, 6:14].abs().sum() > 0
