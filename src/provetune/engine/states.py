"""What a model makes of whole prompts: its last hidden state where it would begin to write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from provetune.chat import TokenRow
from provetune.engine.forward import hidden_states, packed_path, supervised
from provetune.engine.likelihood import PACK_TOKENS
from provetune.engine.packing import PackSettings, pack_rows, rows_of


@torch.no_grad()
def last_states(model: Any, prompts: Sequence[Sequence[int]], progress: Callable[[int], None]) -> torch.Tensor:
    """The hidden state after the last token of each prompt, `[n, H]` in float32 on the processor, in order."""
    # a token behind each prompt, so that the state before it is asked for
    rows = [TokenRow(np.array([*ids, ids[-1]]), np.arange(len(ids) + 1) == len(ids)) for ids in prompts]
    found = torch.zeros(len(rows), model.config.get_text_config().hidden_size)
    if not rows:
        return found
    if not packed_path(model, rows):
        for place, ids in enumerate(prompts):
            out = model.get_decoder()(input_ids=torch.tensor([ids], device=model.device), use_cache=False)
            found[place] = out.last_hidden_state[0, -1].float().cpu()
            progress(place + 1)
        return found
    done = 0
    for pack in pack_rows(rows, range(len(rows)), PackSettings(PACK_TOKENS)):
        places, _ = supervised(rows, pack)
        numbers = list(rows_of(pack))
        found[numbers] = hidden_states(model, rows, pack).index_select(0, places.to(model.device)).float().cpu()
        done += len(numbers)
        progress(done)
    return found
