"""How far a model has moved from its base: both next-token distributions at every labelled token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from provetune.chat import TokenRow
from provetune.engine.forward import hidden_states, packed_path, supervised
from provetune.engine.head import Head
from provetune.engine.likelihood import PACK_TOKENS
from provetune.engine.loss import CHUNK_ELEMENTS
from provetune.engine.packing import Group, Pack, PackSettings, pack_rows, rows_of
from provetune.engine.pull import base_of
from provetune.protocols import TokenDivergence

Logits = Callable[[slice], torch.Tensor]


@torch.no_grad()
def row_divergence(model: Any, rows: Sequence[TokenRow], base: Any = None) -> list[TokenDivergence]:
    """What each row's labelled tokens say of model and base, in the order of `rows`; `base` as in `base_of`."""
    model.eval()
    found: list[TokenDivergence | None] = [None] * len(rows)
    packed = packed_path(model, rows) if rows else True
    packs = pack_rows(rows, range(len(rows)), PackSettings(PACK_TOKENS)) if packed else [(Group(0, (row,)),) for row in range(len(rows))]
    for pack in packs:
        after = _logits(model, rows, pack, packed)
        with base_of(model, base) as teacher:
            before = _logits(teacher, rows, pack, packed)
        columns = _columns(before, after, supervised(rows, pack)[1].to(model.device))
        numbers = rows_of(pack)
        for row, part in zip(numbers, torch.split(columns, [rows[row].label_count for row in numbers]), strict=True):
            found[row] = TokenDivergence(*part.double().cpu().numpy().T)
    return [one for one in found if one is not None]


def _logits(model: Any, rows: Sequence[TokenRow], pack: Pack, packed: bool) -> Logits:
    """Logits at the places before the labelled tokens of a pack, a slice of them at a time."""
    places = supervised(rows, pack)[0].to(model.device)
    if packed:
        states, head = hidden_states(model, rows, pack).index_select(0, places), Head.of(model)
        return lambda part: head.logits(states[part]).float()
    ids = torch.from_numpy(rows[pack[0].rows[0]].ids)[None].to(model.device)
    logits = model(input_ids=ids, use_cache=False).logits[0].index_select(0, places)
    return lambda part: logits[part].float()


def _columns(before: Logits, after: Logits, targets: torch.Tensor) -> torch.Tensor:
    """`[N, 3]`: KL, nats under the base, nats under the model; a bounded number of logits at a time."""
    step = max(1, CHUNK_ELEMENTS // before(slice(0, 1)).shape[-1])
    parts = []
    for start in range(0, len(targets), step):
        part = slice(start, start + step)
        p, q = torch.log_softmax(before(part), -1), torch.log_softmax(after(part), -1)
        own = targets[part, None]
        parts.append(torch.stack([(p.exp() * (p - q)).sum(-1), -p.gather(1, own)[:, 0], -q.gather(1, own)[:, 0]], 1))
    return torch.cat(parts)
