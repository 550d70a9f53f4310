"""Completions that join and leave one after the other equal those of one prompt alone."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from transformers import LlamaForCausalLM

from provetune.engine import live
from provetune.engine.generation import generate
from provetune.engine.live import Batch, Row, Wish
from provetune.engine.sampling import Sampling
from provetune.engine.writing import Rules
from tests.models import random_prompts, tiny_llama

RULES = Rules(frozenset({7, 19}), 12)


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    return tiny_llama(seed=4)


def drained(batch: Batch) -> list[Row]:
    """All rows in the order in which they ended."""
    ended: dict[Row, None] = {}
    while batch.under_way:
        ended |= dict.fromkeys(row for row in batch.step() if row.done)
    return list(ended)


@pytest.mark.parametrize("prefix", [0, 60])
def test_rows_that_join_at_any_time_equal_rows_alone(model: LlamaForCausalLM, prefix: int) -> None:
    draw = random.Random(prefix)
    prompts = random_prompts([prefix + draw.randint(1, 40) for _ in range(30)], seed=1, prefix=prefix)
    rules = [replace(RULES, max_new_tokens=draw.choice((1, 5, 12, 90))) for _ in prompts]
    batch, rows = Batch(model), []
    for prompt, rule in zip(prompts, rules, strict=True):
        rows.append(batch.join(Wish(prompt, rule)))
        for _ in range(draw.choice((0, 0, 1, 5))):
            batch.step()
    drained(batch)
    assert [row.writer.written for row in rows] == [generate(model, [p], r)[0] for p, r in zip(prompts, rules, strict=True)]
    assert (batch.prefix_tokens > 20 * prefix) if prefix else batch.prefix_tokens == 0


def test_several_prefixes_are_kept_and_the_oldest_gives_way(model: LlamaForCausalLM) -> None:
    batch = Batch(model)
    wanted = []
    for seed in range(7):
        for prompt in random_prompts([70, 75, 80], seed=seed, prefix=60):
            row = batch.join(Wish(prompt, RULES))
            drained(batch)
            wanted.append((row.writer.written, generate(model, [prompt], RULES)[0]))
    assert all(found == alone for found, alone in wanted)
    assert len(batch._lanes) == live.LANES + 1


def test_log_probabilities_are_the_models_own(model: LlamaForCausalLM) -> None:
    batch = Batch(model)
    [prompt] = random_prompts([9])
    row = batch.join(Wish(prompt, RULES, top=3))
    drained(batch)
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([[*prompt, *row.writer.ids]])).logits[0].log_softmax(-1)
    for place, scored in enumerate(row.scored):
        wanted = logits[len(prompt) - 1 + place]
        assert scored.token == row.writer.ids[place] == scored.top[0][0]
        assert scored.logprob == pytest.approx(float(wanted[scored.token]), abs=1e-4)
        assert [value for _, value in scored.top] == pytest.approx(wanted.topk(3).values.tolist(), abs=1e-4)
    assert len(row.scored) == len(row.writer.ids) > 2


def test_draws_depend_on_seed_and_number_alone(model: LlamaForCausalLM) -> None:
    prompts = random_prompts([9, 30, 4, 12])
    rules = Rules(frozenset(), 10, sampling=Sampling(1.0, 0.9, 3))
    batch = Batch(model)
    rows = [batch.join(Wish(prompt, rules, row=k)) for k, prompt in enumerate(prompts)]
    drained(batch)
    assert [row.writer.written for row in rows] == generate(model, prompts, rules)


def test_a_row_that_nobody_waits_for_leaves(model: LlamaForCausalLM) -> None:
    batch = Batch(model)
    [a, b] = [batch.join(Wish(prompt, Rules(frozenset(), 50))) for prompt in random_prompts([9, 12])]
    batch.step()
    a.left = True
    waiting = batch.join(Wish([5, 6], RULES))
    waiting.left = True
    ended = drained(batch)
    assert b in ended and a not in ended and len(b.writer.ids) == 50 and len(a.writer.ids) < 5 and not waiting.writer.ids


def test_more_rows_than_there_is_room_for_wait_their_turn(model: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provetune.engine.generation.SLOT_BYTES", 400_000)
    prompts = random_prompts([random.Random(k).randint(2, 60) for k in range(30)])
    batch = Batch(model)
    rows = [batch.join(Wish(prompt, RULES)) for prompt in prompts]
    drained(batch)
    assert [row.writer.written for row in rows] == generate(model, prompts, RULES)


def test_a_model_whose_attention_cannot_be_replaced_answers_too(model: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "packed_path", lambda model, rows: False)
    prompts = random_prompts([5, 30, 12] * 8)
    batch = Batch(model)
    rows = [batch.join(Wish(prompt, RULES)) for prompt in prompts]
    assert len(drained(batch)) == len(rows)
    assert [row.writer.written for row in rows] == generate(model, prompts, RULES)
