"""New tokens: off unless asked for, read like the words they were, trained, saved, read back and merged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from provetune.engine.likelihood import mean_nats
from provetune.errors import ModelError, SpecError
from provetune.models.merging import merged_model
from provetune.models.pair import ModelPair
from provetune.models.tokenizer import FolderTokenizer
from provetune.models.transformers import load_model
from provetune.records.candidate import GenerationSettings, Method
from provetune.records.data import Message
from provetune.tuning import TuneRequest, tune
from provetune.tuning.tune import training_rows
from tests.models import VOCABULARY, byte_tokenizer, save_folder, tiny_llama
from tests.unit.records_by_hand import examples_of

NEW = ("billing", "<order>")
pytestmark = pytest.mark.filterwarnings(
    "ignore:.is_gradient_checkpointing. is deprecated:FutureWarning",
    "ignore:The new (embeddings|lm_head)",
)


@pytest.fixture(params=[True, False], ids=["tied", "untied"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return save_folder(tmp_path / "base", tiny_llama(tie_word_embeddings=request.param), byte_tokenizer())


@pytest.fixture
def new_request(base: Path, tune_request: TuneRequest) -> TuneRequest:
    AcceleratorState._reset_state(reset_partial_state=True)
    return replace(tune_request, base_folder=base, tokenizer=FolderTokenizer(base, NEW), train=examples_of(["billing", "access"] * 6))


def test_a_new_token_begins_as_the_mean_of_what_spelled_it_and_old_ones_stay(base: Path) -> None:
    ours, old = FolderTokenizer(base, NEW), FolderTokenizer(base)
    assert old.new_tokens == {} and load_model(base).config.vocab_size == VOCABULARY, "nothing grows unless it is asked for"
    assert list(ours.new_tokens.values()) == list(NEW) and [ours.encode(text) for text in NEW] == [[number] for number in ours.new_tokens]
    assert ours.decode(ours.encode("my billing <order>!")) == "my billing <order>!"
    plain, grown = load_model(base), load_model(base, new_tokens=ours.new_tokens)
    for layer in ("get_input_embeddings", "get_output_embeddings"):
        before, after = (getattr(model, layer)().weight for model in (plain, grown))
        assert torch.equal(after[:VOCABULARY], before) and len(after) == VOCABULARY + 2
        for number, text in ours.new_tokens.items():
            assert torch.allclose(after[number], before[old.encode(text)].mean(0), atol=1e-6)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_what_was_trained_is_what_is_read_back_and_merged(new_request: TuneRequest, method: Method, tmp_path: Path) -> None:
    request = replace(new_request, method=method)
    run = tune(request)
    full = method == "full"
    model = load_model(request.out) if full else load_model(request.base_folder, request.out)
    rows = training_rows(request.validation, request.template, request.tokenizer, 128)
    best = next(point for point in run.validation if point.step == run.best_step)
    assert mean_nats(model, rows) == pytest.approx(best.loss, rel=2e-2 if full else 1e-5), "full weights are kept in 16 bits"
    start = load_model(request.base_folder, new_tokens=request.tokenizer.new_tokens).get_input_embeddings().weight
    moved = {number: not torch.equal(model.get_input_embeddings().weight[number], start[number]) for number in request.tokenizer.new_tokens}
    assert moved[VOCABULARY], "the token that stands in the rows has learned"
    if full:
        return
    whole = tmp_path / "merged"
    merged_model(request.base_folder, request.out).save_pretrained(whole)
    assert mean_nats(load_model(whole), rows) == pytest.approx(best.loss, rel=1e-5)
    theirs = AutoTokenizer.from_pretrained(request.out)
    assert theirs.encode("billing", add_special_tokens=False) == [VOCABULARY], "the tokenizer lies beside the adapter"
    library = AutoModelForCausalLM.from_pretrained(whole, dtype=torch.float32)
    ids = torch.tensor([request.tokenizer.encode("my billing <order>")])
    assert torch.allclose(library(ids).logits, model(ids).logits, atol=1e-4)


def test_the_base_inside_an_adapter_reads_the_new_tokens_as_before_training(new_request: TuneRequest) -> None:
    tune(new_request)
    inside = ModelPair(new_request.base_folder, new_request.tokenizer, adapter=new_request.out)
    beside = ModelPair(new_request.base_folder, new_request.tokenizer, full=new_request.base_folder)
    turns, choices = [(Message(role="user", content="my billing <order>"),)], [["billing", "access"]]
    found, wanted = (pair.before.loglikelihood(turns, choices, lambda *_: None)[0].nats for pair in (inside, beside))
    assert found == pytest.approx(wanted, abs=1e-4)
    assert inside.after.generate(turns, GenerationSettings(max_new_tokens=2), lambda *_: None)[0].error is None


def test_old_tokens_and_adapters_without_their_tokenizer_are_named(new_request: TuneRequest) -> None:
    with pytest.raises(SpecError, match="'a' is one token already"):
        FolderTokenizer(new_request.base_folder, ["a"])
    tune(new_request)
    names = load_file(new_request.out / "adapter_model.safetensors").keys()
    assert any("trainable_tokens" in name for name in names) and not any(name.endswith("embed_tokens.weight") for name in names)
    (new_request.out / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="has 2 tokens of its own, but no tokenizer.json"):
        load_model(new_request.base_folder, new_request.out)
