"""Greedy completions against transformers' own `generate`, alone and in batches, with and without a common prefix."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import GenerationConfig, LlamaForCausalLM

from provetune.engine import generation, padded
from provetune.engine.generation import generate
from provetune.engine.writing import Rules, Written
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


@pytest.fixture(autouse=True)
def any_prefix_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "STEP_TOKENS", 0)


@pytest.mark.parametrize("prefix", [0, 1, 20])
def test_mixed_lengths_equal_single_prompts(model: LlamaForCausalLM, stops: frozenset[int], prefix: int) -> None:
    prompts = random_prompts([prefix + own for own in (12, 31, 14, 55, 12, 20)], seed=1, prefix=prefix)
    found = generate(model, prompts, Rules(stops, NEW))
    assert found == [by_library(model, prompt, stops) for prompt in prompts]
    assert any(one.stopped for one in found) or all(len(one.ids) == NEW for one in found)


def test_several_prefixes_in_one_call(model: LlamaForCausalLM, stops: frozenset[int]) -> None:
    prompts = [*random_prompts([30, 26], seed=1, prefix=18), *random_prompts([44, 41, 60], seed=2, prefix=40), *random_prompts([5], seed=3)]
    assert generate(model, prompts, Rules(stops, NEW)) == [by_library(model, prompt, stops) for prompt in prompts]


@pytest.mark.parametrize("rows", [1, 2, 3, 5])
@pytest.mark.parametrize("share", [0.01, 0.25, 1.0])
def test_rows_that_come_and_go_do_not_change_the_completions(
    model: LlamaForCausalLM, stops: frozenset[int], rows: int, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = random_prompts([32, 51, 34, 75, 32, 40, 33, 29, 61], seed=2, prefix=25)
    wanted = generate(model, prompts, Rules(stops, NEW))
    assert {one.stopped for one in wanted} == {True, False}
    monkeypatch.setattr(generation, "MAX_ROWS", rows)
    monkeypatch.setattr(generation, "FILL_SHARE", share)
    monkeypatch.setattr(generation, "FILL_TOKENS", 20)
    assert generate(model, prompts, Rules(stops, NEW)) == wanted


def test_rows_under_way_stay_within_their_memory(model: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    # 2 layers, 2 key-value heads of width 16, float32, keys and values: 512 bytes a token
    assert generation.slots_for(model, 100) == 128
    monkeypatch.setattr(generation, "SLOT_BYTES", 512 * 100 * 3)
    assert generation.slots_for(model, 100) == 3 and generation.slots_for(model, 10_000) == 1


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


def test_progress_counts_the_rows(model: LlamaForCausalLM) -> None:
    seen: list[int] = []
    generate(model, random_prompts([6, 9, 4, 5, 8]), Rules(frozenset(), 1), seen.append)
    assert seen == [1, 2, 3, 4, 5]


@given(lengths=st.lists(st.integers(3, 5000), min_size=1, max_size=90))
def test_every_row_is_in_one_padded_batch_within_the_limits(lengths: list[int]) -> None:
    found = padded.batches(lengths)
    assert sorted(row for batch in found for row in batch) == list(range(len(lengths)))
    for batch in found:
        assert len(batch) <= padded.BATCH_ROWS
        assert len(batch) == 1 or len(batch) * max(lengths[row] for row in batch) <= padded.BATCH_TOKENS
