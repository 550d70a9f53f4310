from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from provetune.engine.choices import Node, choice_tree
from provetune.engine.generation import generate
from provetune.engine.writing import Rules
from tests.models import SPECIALS, random_prompts, tiny_llama

STOP = 2
TOKENS = st.lists(st.lists(st.integers(6, 12), min_size=1, max_size=5).map(tuple), min_size=1, max_size=6, unique=True)


def walked(node: Node, so_far: tuple[int, ...] = ()) -> set[tuple[int, ...]]:
    found = {so_far} if node.ends else set()
    for token, child in node.following.items():
        found |= walked(child, (*so_far, token))
    return found


@given(TOKENS)
def test_the_tree_holds_exactly_its_choices_and_rest_completes_the_only_one(choices: list[tuple[int, ...]]) -> None:
    root = choice_tree(choices)
    assert walked(root) == set(choices)
    for choice in choices:
        node = root
        for place, token in enumerate(choice):
            node = node.following[token]
            alone = [other for other in choices if other[: place + 1] == choice[: place + 1]] == [choice]
            assert node.rest == (list(choice[place + 1 :]) if alone else None)


def by_steps(model: torch.nn.Module, prompt: list[int], choices: list[tuple[int, ...]]) -> list[int]:
    """Slow twin: at each step the likeliest token that still leads to a choice, one whole forward pass a token."""
    written: list[int] = []
    while True:
        fitting = [choice for choice in choices if list(choice[: len(written)]) == written]
        allowed = sorted({choice[len(written)] for choice in fitting if len(choice) > len(written)})
        allowed += [STOP] if any(len(choice) == len(written) for choice in fitting) else []
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([prompt + written])).logits[0, -1]
        token = allowed[int(logits[allowed].argmax())]
        if token == STOP:
            return written
        written.append(token)


def test_completions_are_choices_and_equal_the_slow_twin() -> None:
    model = tiny_llama(seed=3)
    draw = torch.Generator().manual_seed(1)
    low, high = len(SPECIALS), len(SPECIALS) + 4
    lengths = torch.randint(1, 6, (12,), generator=draw).tolist()
    choices = sorted({tuple(torch.randint(low, high, (length,), generator=draw).tolist()) for length in lengths})
    prompts = random_prompts([9, 14, 30, 11, 25, 10, 18], prefix=8)
    rules = Rules(frozenset({STOP}), 8, choice_tree(choices))
    found = generate(model, prompts, rules)
    assert [written.ids for written in found] == [by_steps(model, prompt, choices) for prompt in prompts]
    assert all(written.stopped and tuple(written.ids) in choices for written in found)
    assert len({tuple(written.ids) for written in found}) > 1, "the prompts must lead to different choices for this to show anything"
