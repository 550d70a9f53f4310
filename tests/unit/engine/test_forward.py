"""From rows to the loss: packed rows against the padded batch through the library's own loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    GemmaConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    PreTrainedConfig,
    Qwen2Config,
)

from provetune.chat import TokenRow
from provetune.engine.attention import ATTENTION_NAME
from provetune.engine.forward import head_is_plain, hidden_states, pack_loss, rows_stay_apart, supervised, use_row_attention
from provetune.engine.packing import pack_in_order
from tests.models import VOCABULARY, gradients, llama_config, random_rows, relative_error, tiny_llama

LENGTHS = [5, 12, 9, 30, 2, 17, 8, 11]
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.1,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def padded_loss(model: Any, rows: Sequence[TokenRow]) -> torch.Tensor:
    """The library's own mean loss of the padded batch, -100 where there is no label."""
    longest = max(map(len, rows))
    ids, labels, mask = (torch.full((len(rows), longest), fill) for fill in (0, -100, 0))
    for place, row in enumerate(rows):
        tokens = torch.from_numpy(row.ids)
        ids[place, : len(row)] = tokens
        labels[place, : len(row)] = tokens.where(torch.from_numpy(row.labelled), torch.tensor(-100))
        mask[place, : len(row)] = 1
    loss: torch.Tensor = model(input_ids=ids, attention_mask=mask, labels=labels).loss
    return loss


def count(rows: Sequence[TokenRow]) -> int:
    return sum(row.label_count for row in rows)


@pytest.mark.parametrize("tied", [True, False])
def test_pack_loss_equals_the_padded_batch(tied: bool) -> None:
    rows = random_rows(LENGTHS)
    ours, theirs = tiny_llama(tie_word_embeddings=tied), tiny_llama(tie_word_embeddings=tied)
    use_row_attention(ours)
    found = pack_loss(ours, rows, count(rows))
    wanted = padded_loss(theirs, rows)
    found.backward()
    wanted.backward()
    assert float(found.detach()) == pytest.approx(float(wanted.detach()), rel=1e-5)
    a, b = gradients(ours), gradients(theirs)
    assert a.keys() == b.keys() and len(a) == len(list(ours.parameters()))
    assert max(relative_error(a[name], b[name]) for name in a) < 1e-5


@pytest.mark.parametrize("rows_per_pack", [8, 4, 2, 1])
@pytest.mark.parametrize("total", [8, 7])
def test_gradients_do_not_depend_on_the_cut_into_packs(rows_per_pack: int, total: int) -> None:
    rows = random_rows(LENGTHS[:total])
    whole, cut = tiny_llama(), tiny_llama()
    for model in (whole, cut):
        use_row_attention(model)
    pack_loss(whole, rows, count(rows)).backward()
    packs = [rows[start : start + rows_per_pack] for start in range(0, total, rows_per_pack)]
    losses = [pack_loss(cut, pack, count(rows)) for pack in packs]
    for loss in losses:
        loss.backward()
    with torch.no_grad():
        assert float(sum(losses)) == pytest.approx(float(pack_loss(whole, rows, count(rows))), rel=1e-5)
    wanted, found = gradients(whole), gradients(cut)
    assert max(relative_error(found[name], wanted[name]) for name in wanted) < 1e-5


def test_packs_cut_by_tokens_give_the_same_loss() -> None:
    rows, model = random_rows(LENGTHS), tiny_llama()
    use_row_attention(model)
    with torch.no_grad():
        wanted = float(pack_loss(model, rows, 1.0))
        for limit in (1, 20, 50):
            packs = pack_in_order(LENGTHS, range(len(rows)), limit)
            found = sum(float(pack_loss(model, [rows[i] for i in pack], 1.0)) for pack in packs)
            assert found == pytest.approx(wanted, rel=1e-5)


def test_supervised_names_the_token_before_each_label() -> None:
    first, second = random_rows([6, 4], seed=3)
    places, targets = supervised([first, second])
    slow = [(t - 1, int(first.ids[t])) for t in range(1, 6) if first.labelled[t]]
    slow += [(6 + t - 1, int(second.ids[t])) for t in range(1, 4) if second.labelled[t]]
    assert list(zip(places.tolist(), targets.tolist(), strict=True)) == slow


def test_a_row_does_not_see_its_neighbours() -> None:
    model = tiny_llama()
    use_row_attention(model)
    [row] = random_rows([9], seed=1)
    with torch.no_grad():
        states = [hidden_states(model, [*random_rows([14, 3], seed=seed), row])[17:] for seed in (2, 3)]
    torch.testing.assert_close(states[0], states[1], rtol=0, atol=1e-5)


def test_several_rows_without_row_attention_are_refused() -> None:
    with pytest.raises(ValueError, match="need use_row_attention"):
        pack_loss(tiny_llama(), random_rows([4, 5]), 1.0)


@pytest.mark.parametrize("config", [LlamaConfig, Qwen2Config, MistralConfig, GemmaConfig], ids=lambda c: str(c.model_type))
def test_rows_stay_apart_where_packing_is_exact(config: type[PreTrainedConfig]) -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config(**SIZES))
    rows = random_rows(LENGTHS[:4])
    before = model.config._attn_implementation
    assert rows_stay_apart(model, rows) and head_is_plain(model, rows[0])
    assert model.config._attn_implementation == before
    use_row_attention(model)
    with torch.no_grad():
        packed = float(pack_loss(model, rows, count(rows)))
        model.config._attn_implementation = "sdpa"
        assert packed == pytest.approx(float(padded_loss(model, rows)), rel=1e-5)


class KeepsTheLayout(LlamaForCausalLM):
    """An architecture that does not pass the layout on to its attention."""

    def get_decoder(self) -> Any:
        decoder = super().get_decoder()  # type: ignore[no-untyped-call]
        return lambda rows=None, **named: decoder(**named)


def test_rows_do_not_stay_apart_where_the_layout_is_dropped() -> None:
    model = KeepsTheLayout(llama_config())
    assert not rows_stay_apart(model, random_rows(LENGTHS[:4]))
    assert model.config._attn_implementation != ATTENTION_NAME


def test_rows_do_not_stay_apart_where_attention_has_a_window() -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(MistralConfig(**SIZES, sliding_window=4))
    assert not rows_stay_apart(model, random_rows([12, 9]))


def test_a_scaled_head_is_seen() -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CohereConfig(**SIZES))  # multiplies its logits by 0.0625
    assert not head_is_plain(model, random_rows([8])[0])
