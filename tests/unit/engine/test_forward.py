"""From rows to the loss: packed rows against the padded batch through the library's own loss, and the pull to the base."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaForCausalLM

from provetune.chat import TokenRow
from provetune.engine.forward import hidden_states, pack_loss, supervised, why_not_packed
from provetune.engine.packing import Group, Pack, PackSettings, pack_rows
from provetune.engine.padded import padded_loss
from provetune.engine.pull import Pull
from tests.models import gradients, llama_config, random_rows, relative_error, tiny_llama
from tests.unit.engine.architectures import alike_rows, build

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
LENGTHS = [5, 12, 9, 30, 2, 17, 8, 11]


def library_loss(model: Any, rows: Sequence[TokenRow]) -> torch.Tensor:
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


def one_pack(rows: Sequence[TokenRow]) -> Pack:
    [pack] = pack_rows(rows, range(len(rows)), PackSettings(10**9))
    return pack


@pytest.mark.parametrize("loss_of", [pack_loss, padded_loss])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("rows", [random_rows(LENGTHS), alike_rows()], ids=["strangers", "alike"])
def test_loss_and_gradients_equal_the_library(loss_of: Any, tied: bool, rows: list[TokenRow]) -> None:
    ours, theirs = tiny_llama(tie_word_embeddings=tied), tiny_llama(tie_word_embeddings=tied)
    found, wanted = loss_of(ours, rows, one_pack(rows), count(rows)), library_loss(theirs, rows)
    found.backward()
    wanted.backward()
    assert float(found.detach()) == pytest.approx(float(wanted.detach()), rel=1e-5)
    a, b = gradients(ours), gradients(theirs)
    assert a.keys() == b.keys() and len(a) == len(list(ours.parameters()))
    assert max(relative_error(a[name], b[name]) for name in a) < 1e-5


@pytest.mark.parametrize("limit", [1, 20, 50, 200])
@pytest.mark.parametrize("total", [6, 5])
def test_gradients_do_not_depend_on_the_cut_into_packs(limit: int, total: int) -> None:
    rows = alike_rows()[:total]
    whole, cut = tiny_llama(), tiny_llama()
    wanted_loss = pack_loss(whole, rows, one_pack(rows), count(rows))
    wanted_loss.backward()
    found_loss = 0.0
    for pack in pack_rows(rows, range(total), PackSettings(limit)):
        loss = pack_loss(cut, rows, pack, count(rows))
        loss.backward()
        found_loss += float(loss.detach())
    assert found_loss == pytest.approx(float(wanted_loss.detach()), rel=1e-5)
    wanted, found = gradients(whole), gradients(cut)
    assert max(relative_error(found[name], wanted[name]) for name in wanted) < 1e-5


def test_supervised_names_the_token_before_each_label() -> None:
    rows = alike_rows([(20, 3), (0, 2)])
    pack = one_pack(rows)
    assert {group.prefix for group in pack} == {20, 0}
    slow, start = [], 0
    for group in pack:
        begin = start + group.prefix
        for number in group.rows:
            row = rows[number]
            for t in range(1, len(row)):
                if row.labelled[t]:
                    slow.append((start + t - 1 if t - 1 < group.prefix else begin + t - 1 - group.prefix, int(row.ids[t])))
            begin += len(row) - group.prefix
        start = begin
    places, targets = supervised(rows, pack)
    assert list(zip(places.tolist(), targets.tolist(), strict=True)) == slow


def test_a_row_does_not_see_its_neighbours() -> None:
    model = tiny_llama()
    [row] = random_rows([9], seed=1)
    with torch.no_grad():
        packs = [[*random_rows([14, 3], seed=seed), row] for seed in (2, 3)]
        states = [hidden_states(model, rows, (Group(0, (0, 1, 2)),))[17:] for rows in packs]
    torch.testing.assert_close(states[0], states[1], rtol=0, atol=1e-5)


class KeepsTheLayout(LlamaForCausalLM):
    """An architecture that does not pass the layout on to its attention."""

    def get_decoder(self) -> Any:
        decoder = super().get_decoder()  # type: ignore[no-untyped-call]

        class Without:
            _supports_attention_backend = True
            config = decoder.config

            def __call__(self, layout: Any = None, **named: Any) -> Any:
                return decoder(**named)

        return Without()


def test_an_architecture_that_drops_the_layout_is_refused_by_name() -> None:
    reason = why_not_packed(KeepsTheLayout(llama_config()), random_rows(LENGTHS[:4]))
    assert reason is not None and "layout" in reason


def test_an_attention_that_ignores_its_window_is_noticed() -> None:
    model = build("Mistral", {"sliding_window": 8})
    assert why_not_packed(model, alike_rows()) is None
    model.config.sliding_window = None  # the library's mask is made from this key, and so is what the attention is told
    for layer in model.model.layers:
        layer.self_attn.config = type(
            "Lies", (), {"sliding_window": 4, "_attn_implementation": property(lambda _: model.config._attn_implementation)}
        )()
    reason = why_not_packed(model, alike_rows())
    assert reason is not None and "another loss" in reason


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_the_pull_of_a_switched_off_adapter_equals_that_of_the_base(weight: float) -> None:
    rows = alike_rows()
    torch.manual_seed(2)
    settings = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    model = get_peft_model(tiny_llama(), settings)
    losses, found = [], []
    for pull in (Pull(weight), Pull(weight, base=tiny_llama())):
        model.zero_grad()
        loss = pack_loss(model, rows, one_pack(rows), count(rows), pull)
        loss.backward()
        losses.append(float(loss.detach()))
        found.append(gradients(model))
    with torch.no_grad():
        padded = padded_loss(model, rows, one_pack(rows), count(rows), Pull(weight))
    assert losses[0] == pytest.approx(losses[1], rel=1e-6) and losses[0] == pytest.approx(float(padded), rel=1e-4)
    assert losses[0] == 0 if weight == 0 else losses[0] > 0.01
    assert max(relative_error(found[0][name], found[1][name]) for name in found[0]) < 1e-5
