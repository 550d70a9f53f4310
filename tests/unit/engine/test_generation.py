"""Greedy completions against transformers' own `generate`, alone and in batches, with and without a common prefix."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import GenerationConfig, LlamaForCausalLM

from provetune.engine import generation
from provetune.engine.attention import ATTENTION_NAME
from provetune.engine.forward import use_row_attention
from provetune.engine.generation import Rules, Written, batches, common_prefix, generate
from tests.models import random_prompts, tiny_llama

NEW = 12


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    return tiny_llama(seed=4)


@pytest.fixture(scope="module")
def stops(model: LlamaForCausalLM) -> frozenset[int]:
    """Two tokens that this random model does write, at different places, so that some rows stop and some do not."""
    written = generate(model, random_prompts([7, 30, 19, 4]), Rules(frozenset(), NEW))
    return frozenset({written[0].ids[3], written[1].ids[5]})


@torch.inference_mode()
def by_library(model: Any, prompt: list[int], stops: frozenset[int], new: int = NEW) -> Written:
    settings = GenerationConfig(do_sample=False, max_new_tokens=new, eos_token_id=sorted(stops) or None, pad_token_id=0)
    ids = torch.tensor([prompt])
    out = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=settings)
    tail = out[0, len(prompt) :].tolist()
    stopped = bool(tail) and tail[-1] in stops
    return Written(tail[:-1] if stopped else tail, stopped)


def test_a_single_prompt_equals_the_library(model: LlamaForCausalLM, stops: frozenset[int]) -> None:
    for prompt in random_prompts([1, 2, 7, 30, 19, 4, 63]):
        assert generate(model, [prompt], Rules(stops, NEW)) == [by_library(model, prompt, stops)]
        assert generate(model, [prompt], Rules(frozenset(), NEW)) == [by_library(model, prompt, frozenset())]


@pytest.mark.parametrize("prefix", [0, 1, 11])
def test_a_batch_of_mixed_lengths_equals_single_prompts(model: LlamaForCausalLM, stops: frozenset[int], prefix: int) -> None:
    prompts = random_prompts([12, 31, 14, 55, 12, 20], seed=1, prefix=prefix)
    assert common_prefix(prompts) == prefix
    found = generate(model, prompts, Rules(stops, NEW))
    assert found == [by_library(model, prompt, stops) for prompt in prompts]
    assert any(one.stopped for one in found) or all(len(one.ids) == NEW for one in found)


def test_batches_do_not_change_the_completions(model: LlamaForCausalLM, stops: frozenset[int], monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = random_prompts([12, 31, 14, 55, 12, 20, 13], seed=2, prefix=5)
    wanted = generate(model, prompts, Rules(stops, NEW))
    monkeypatch.setattr(generation, "BATCH_ROWS", 2)
    monkeypatch.setattr(generation, "BATCH_TOKENS", 40)
    assert generate(model, prompts, Rules(stops, NEW)) == wanted


def test_a_stop_token_ends_a_row_and_is_left_out(model: LlamaForCausalLM) -> None:
    [prompt] = random_prompts([9], seed=3)
    [free] = generate(model, [prompt], Rules(frozenset(), NEW))
    assert not free.stopped and len(free.ids) == NEW
    for place in (0, 4, NEW - 1):
        stop = free.ids[place]
        [found] = generate(model, [prompt], Rules(frozenset({stop}), NEW))
        assert found == Written(free.ids[: free.ids.index(stop)], True)


def test_a_stopped_row_does_not_end_the_others(model: LlamaForCausalLM, stops: frozenset[int]) -> None:
    prompts = random_prompts([7, 30, 19, 4])
    found = generate(model, prompts, Rules(stops, NEW))
    assert {one.stopped for one in found} == {True, False}
    assert found == [by_library(model, prompt, stops) for prompt in prompts]


@pytest.mark.parametrize("new", [1, 2, 5])
def test_at_most_max_new_tokens(model: LlamaForCausalLM, new: int) -> None:
    found = generate(model, random_prompts([6, 9]), Rules(frozenset(), new))
    assert [len(one.ids) for one in found] == [new, new]


def test_equal_prompts_are_completed_alike(model: LlamaForCausalLM) -> None:
    [prompt] = random_prompts([9])
    found = generate(model, [prompt] * 3, Rules(frozenset(), NEW))
    assert found == [by_library(model, prompt, frozenset())] * 3


def test_a_prompt_that_begins_another(model: LlamaForCausalLM) -> None:
    [long] = random_prompts([14])
    prompts = [long, long[:6], long[:1]]
    assert generate(model, prompts, Rules(frozenset(), NEW)) == [by_library(model, prompt, frozenset()) for prompt in prompts]


def test_no_prompts_no_completions(model: LlamaForCausalLM) -> None:
    assert generate(model, [], Rules(frozenset(), NEW)) == []


def test_a_model_that_was_trained_on_packs_decodes_as_usual(model: LlamaForCausalLM) -> None:
    prompts = random_prompts([6, 9])
    wanted = generate(model, prompts, Rules(frozenset(), 4))
    trained = tiny_llama(seed=4)
    use_row_attention(trained)
    assert generate(trained, prompts, Rules(frozenset(), 4)) == wanted
    assert trained.config._attn_implementation == ATTENTION_NAME


def test_progress_counts_the_rows(model: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "BATCH_ROWS", 2)
    seen: list[int] = []
    generate(model, random_prompts([6, 9, 4, 5, 8]), Rules(frozenset(), 1), seen.append)
    assert seen == [2, 4, 5]


@given(lengths=st.lists(st.integers(3, 5000), min_size=1, max_size=90), prefix=st.integers(0, 2))
def test_every_row_is_in_one_batch_within_the_limits(lengths: list[int], prefix: int) -> None:
    found = batches(lengths, prefix)
    assert sorted(row for batch in found for row in batch) == list(range(len(lengths)))
    for batch in found:
        assert len(batch) <= generation.BATCH_ROWS
        assert len(batch) == 1 or len(batch) * (max(lengths[row] for row in batch) - prefix) <= generation.BATCH_TOKENS


@given(prompts=st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=8), min_size=1, max_size=5))
def test_common_prefix_against_its_slow_twin(prompts: list[list[int]]) -> None:
    limit = min(map(len, prompts)) - 1
    slow = max(n for n in range(limit + 1) if all(prompt[:n] == prompts[0][:n] for prompt in prompts))
    assert common_prefix(prompts) == slow
