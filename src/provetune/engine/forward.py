"""From rows of tokens to the loss, through any transformers causal LM: packed where its attention allows it, else padded."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from provetune.chat import TokenRow
from provetune.engine.attention import ATTENTION_NAME, PackLayout
from provetune.engine.head import Head
from provetune.engine.loss import Teacher, labelled_cross_entropy
from provetune.engine.packing import Group, Pack, PackSettings, pack_rows
from provetune.engine.padded import padded_loss
from provetune.engine.pull import Pull, base_of
from provetune.errors import Notice


@contextmanager
def attention(model: Any, name: str) -> Iterator[None]:
    """Use the attention called `name` inside the block."""
    config = model.get_decoder().config
    before = config._attn_implementation
    config._attn_implementation = name
    try:
        yield
    finally:
        config._attn_implementation = before


def hidden_states(model: Any, rows: Sequence[TokenRow], pack: Pack) -> torch.Tensor:
    """Last hidden states `[T, H]` of the tokens of a pack: of each group the prefix, then what each row adds."""
    parts: list[np.ndarray[Any, Any]] = []
    for group in pack:
        parts.append(rows[group.rows[0]].ids[: group.prefix])
        parts += [rows[row].ids[group.prefix :] for row in group.rows]
    ids = torch.from_numpy(np.concatenate(parts)).to(model.device)
    layout = PackLayout.of([(group.prefix, [len(rows[row]) - group.prefix for row in group.rows]) for group in pack], model.device)
    with attention(model, ATTENTION_NAME):
        out = model.get_decoder()(input_ids=ids[None], position_ids=layout.positions, use_cache=False, layout=layout)
    states: torch.Tensor = out.last_hidden_state[0]
    return states


def supervised(rows: Sequence[TokenRow], pack: Pack) -> tuple[torch.Tensor, torch.Tensor]:
    """(place of the token before each labelled one in the pack, the labelled token's id), both `[N]`, row after row."""
    places, targets, start = [], [], 0
    for group in pack:
        begin = start + group.prefix
        for row in group.rows:
            at = np.flatnonzero(rows[row].labelled[1:])
            # the prefix ends at start + prefix - 1, wherever in the group the row stands
            places.append(np.where(at < group.prefix, start + at, begin + at - group.prefix))
            targets.append(rows[row].ids[at + 1])
            begin += len(rows[row]) - group.prefix
        start = begin
    return torch.from_numpy(np.concatenate(places)), torch.from_numpy(np.concatenate(targets))


def pack_loss(model: Any, rows: Sequence[TokenRow], pack: Pack, divisor: float, pull: Pull | None = None) -> torch.Tensor:
    """Sum of the labelled tokens' negative log-likelihood (nats) over `divisor`, differentiable; with `pull` its term instead."""
    places, targets = (x.to(model.device) for x in supervised(rows, pack))
    picked = hidden_states(model, rows, pack).index_select(0, places)
    teacher = None
    if pull is not None:
        with torch.no_grad(), base_of(model, pull.base) as base:
            teacher = Teacher(hidden_states(base, rows, pack).index_select(0, places), Head.of(base), pull.weight)
    return labelled_cross_entropy(picked, Head.of(model), targets, divisor, teacher)


@torch.no_grad()
def why_not_packed(model: Any, rows: Sequence[TokenRow]) -> str | None:
    """Why this architecture cannot take the packed path; None where it can.

    Tried on rows of the task, short ones and the longest: packed loss and logits must equal those of the model's own
    code within 1e-4 (2e-2 below float32).
    """
    few = sorted(rows, key=len)[:3] + [max(rows, key=len)]
    labels = sum(row.label_count for row in few)
    tolerance = 1e-4 if model.dtype == torch.float32 else 2e-2
    model.eval()
    if getattr(type(model.get_decoder()), "_supports_attention_backend", False) is not True:
        return "its attention cannot be replaced"
    whole: Pack = (Group(0, tuple(range(len(few)))),)
    shared = pack_rows(few, range(len(few)), PackSettings(max_tokens=2**62))
    try:
        alone = sum(float(padded_loss(model, [row], (Group(0, (0,)),), labels)) for row in few)
        found = [sum(float(pack_loss(model, few, pack, labels)) for pack in packs) for packs in ([whole], shared)]
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        return f"its code refuses packed rows ({type(error).__name__}: {error})"
    worst = max(abs(value - alone) for value in found)
    if worst > tolerance * max(1.0, abs(alone)):
        return f"packed rows give another loss than rows alone ({worst:.2g} of {alone:.4g} nats per label)"
    return None


_REASONS: weakref.WeakKeyDictionary[Any, str | None] = weakref.WeakKeyDictionary()


def refusal(model: Any, rows: Sequence[TokenRow]) -> str | None:
    """`why_not_packed`, tried at the first call for a model and remembered; warns where there is a reason."""
    if model not in _REASONS:
        _REASONS[model] = why_not_packed(model, rows)
        if _REASONS[model] is not None:
            name = model.config.model_type
            warnings.warn(f"{name}: the slower padded path is taken, {_REASONS[model]}", Notice, stacklevel=2)
    return _REASONS[model]


def packed_path(model: Any, rows: Sequence[TokenRow]) -> bool:
    """Whether the packed path can be taken."""
    return refusal(model, rows) is None
