"""Every architecture of the packed path against the padded batch, transformers' own generation and its own logits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import GenerationConfig

from provetune.chat import TokenRow
from provetune.engine import generation
from provetune.engine.attention import ATTENTION_NAME
from provetune.engine.checkpointing import checkpoint_layers, layers_of
from provetune.engine.choice_scores import choice_nats
from provetune.engine.forward import attention, pack_loss, packed_path, why_not_packed
from provetune.engine.generation import generate
from provetune.engine.likelihood import row_nats
from provetune.engine.packing import Group, PackSettings, pack_rows
from provetune.engine.padded import padded_loss
from provetune.engine.writing import Rules
from provetune.errors import Notice
from tests.models import gradients, random_prompts, relative_error
from tests.unit.engine.architectures import PACKED, PADDED, alike_rows, build

# PEFT reads a deprecated name of transformers, and names MoE projections that are not there
pytestmark = [
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The following .*_pattern keys did not match:RuntimeWarning"),
]
NEW = 8
UNDECIDED = 1e-4
"""Where the two best logits differ by less, either token is right."""


@pytest.fixture(scope="module", params=PACKED)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model(name: str) -> Any:
    return build(*PACKED[name])


def losses_and_gradients(model: Any, rows: list[TokenRow], *, packed: bool) -> tuple[float, dict[str, torch.Tensor]]:
    labels = sum(row.label_count for row in rows)
    model.zero_grad()
    if packed:
        packs = pack_rows(rows, range(len(rows)), PackSettings(30))
        assert len(packs) > 1 and any(group.prefix for pack in packs for group in pack)
        total = 0.0
        with attention(model, ATTENTION_NAME):  # a checkpointed layer runs again in the backward pass
            for pack in packs:
                loss = pack_loss(model, rows, pack, labels)
                loss.backward()
                total += float(loss.detach())
        return total, gradients(model)
    loss = padded_loss(model, rows, (Group(0, tuple(range(len(rows)))),), labels)
    loss.backward()
    return float(loss.detach()), gradients(model)


def assert_equal_training(model: Any, rows: list[TokenRow]) -> None:
    wanted, by_library = losses_and_gradients(model, rows, packed=False)
    for checkpointed in (0, 1, len(layers_of(model))):
        checkpoint_layers(model, checkpointed)
        model.train(checkpointed > 0)  # dropout is off in all these models
        found, ours = losses_and_gradients(model, rows, packed=True)
        checkpoint_layers(model, 0)
        assert found == pytest.approx(wanted, rel=1e-5)
        assert ours.keys() == by_library.keys()
        for key, value in by_library.items():
            assert relative_error(ours[key], value) < 1e-4 or float((ours[key] - value).norm()) < 1e-6, key


def without_dropout(model: Any) -> Any:
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for key in ("attention_dropout", "hidden_dropout", "dropout"):
            if isinstance(getattr(module, key, None), float):
                setattr(module, key, 0.0)
    return model


def test_full_training_equals_the_padded_batch(model: Any) -> None:
    assert_equal_training(without_dropout(model), alike_rows())


def test_lora_training_equals_the_padded_batch(model: Any) -> None:
    torch.manual_seed(1)
    settings = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    settings.fan_in_fan_out = model.config.model_type == "gpt2"
    assert_equal_training(get_peft_model(without_dropout(model), settings), alike_rows(seed=1))


def test_likelihood_equals_the_models_own_logits(model: Any) -> None:
    rows = alike_rows(seed=2)
    wanted = [float(padded_loss(model, [row], (Group(0, (0,)),), 1.0).detach()) for row in rows]
    assert row_nats(model, rows) == pytest.approx(wanted, rel=1e-5)


def test_choices_equal_rows_one_by_one(model: Any) -> None:
    prompts = random_prompts([40, 26, 33], seed=3, prefix=20)
    choices = [[10, 11, 2], [10, 12, 13, 2], [14, 2], [10, 11, 15, 2], [20]]
    found = choice_nats(model, prompts, choices)
    for prompt, nats in zip(prompts, found, strict=True):
        ids = [torch.tensor([*prompt, *choice]) for choice in choices]
        wanted = []
        for row in ids:
            with torch.no_grad():
                logs = torch.log_softmax(model(input_ids=row[None]).logits[0].double(), -1)
            wanted.append(-sum(float(logs[t - 1, row[t]]) for t in range(len(prompt), len(row))))
        assert nats == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("prefix", [0, 20])
def test_generation_equals_the_library(model: Any, prefix: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "STEP_TOKENS", 0)
    prompts = random_prompts([prefix + 12, prefix + 5, prefix + 19, prefix + 7], seed=4, prefix=prefix)
    settings = GenerationConfig(do_sample=False, max_new_tokens=NEW, eos_token_id=None, pad_token_id=0)
    for prompt, written in zip(prompts, generate(model, prompts, Rules(frozenset(), NEW)), strict=True):
        ids = torch.tensor([prompt])
        out = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=settings)[0, len(prompt) :].tolist()
        assert len(written.ids) == NEW
        if written.ids[: len(out)] != out:  # a configuration may stop at its own eos
            place = next(i for i, (a, b) in enumerate(zip(written.ids, out, strict=False)) if a != b)
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([[*prompt, *out[:place]]])).logits[0, -1].topk(2).values
            assert float(logits[0] - logits[1]) < UNDECIDED


@pytest.mark.parametrize("name", PADDED)
def test_an_unsupported_architecture_takes_the_padded_path_and_says_so_once(name: str) -> None:
    config, changes, reason = PADDED[name]
    model, rows = build(config, changes), alike_rows()
    with pytest.warns(Notice, match=f"padded path is taken.*{reason}"):
        assert not packed_path(model, rows)
    assert not packed_path(model, rows)  # a second warning would be an error
    prompts = random_prompts([12, 5, 19], seed=4)
    settings = GenerationConfig(do_sample=False, max_new_tokens=NEW, eos_token_id=None, pad_token_id=0)
    for prompt, written in zip(prompts, generate(model, prompts, Rules(frozenset(), NEW)), strict=True):
        ids = torch.tensor([prompt])
        out = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=settings)
        by_library = out[0, len(prompt) :].tolist()
        assert written.ids[: len(by_library)] == by_library


def test_no_reason_where_packing_is_exact(model: Any) -> None:
    config = model.get_decoder().config
    before = config._attn_implementation
    assert why_not_packed(model, alike_rows()) is None
    assert config._attn_implementation == before
