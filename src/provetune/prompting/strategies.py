"""Zero-shot and few-shot prompts. Shots come from the training rows only."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from provetune.errors import SpecError
from provetune.protocols import Tokenizer
from provetune.records.candidate import Prompt
from provetune.records.data import Example, Message


@dataclass(frozen=True)
class PromptRequest:
    """What a strategy may use: the task, its labels, training rows, and the room in tokens for system line and shots together."""

    task: str
    labels: tuple[str, ...]
    train: Sequence[Example]
    tokenizer: Tokenizer
    room: int
    shots: int = 8
    seed: int = 7


def instruction(request: PromptRequest) -> str:
    """What a prompted candidate is told below the user's own system line: the answer's form and all labels."""
    if request.task == "classify":
        return "Classify the message. Reply with exactly one of these labels and nothing else: " + ", ".join(request.labels)
    forms = {
        "extract": "Extract the facts from the message. Reply with one JSON object and nothing else.",
        "generate": "Do what the message asks.",
        "chat": "Answer the message.",
    }
    return forms[request.task]


def zero_shot(request: PromptRequest) -> Prompt:
    """The instruction alone."""
    return Prompt(strategy="zero-shot", system=instruction(request))


def few_shot(request: PromptRequest) -> Prompt:
    """The instruction and up to `shots` training rows, from different labels where there are labels.

    Rows are drawn by seed, short ones preferred, as many as fit the room. Raises SpecError where not one fits: an opponent
    called few-shot must have shots.
    """
    draw = random.Random(request.seed)
    by_label: dict[str, list[Example]] = defaultdict(list)
    for example in request.train:
        by_label[example.label or ""].append(example)
    labels = sorted(by_label)
    draw.shuffle(labels)
    chosen: list[Example] = []
    for turn in range(request.shots if labels else 0):
        waiting = by_label[labels[turn % len(labels)]]
        drawn = draw.sample(waiting, min(5, len(waiting)))
        fresh = [example for example in drawn if example not in chosen]
        if fresh:
            chosen.append(min(fresh, key=lambda example: (len(example.prompt_text) + len(example.target), example.id)))
    system, longest = instruction(request), len(chosen)
    while chosen:
        prompt = Prompt(
            strategy="few-shot",
            system=system,
            shots=tuple((Message(role="user", content=e.prompt_text), Message(role="assistant", content=e.target)) for e in chosen),
            shot_ids=tuple(example.id for example in chosen),
        )
        turns = [Message(role="system", content=system), *(turn for shot in prompt.shots for turn in shot)]
        if len(request.tokenizer.encode(request.tokenizer.render(turns, open_turn=False))) <= request.room:
            return prompt
        chosen.remove(max(chosen, key=lambda example: (len(example.prompt_text) + len(example.target), example.id)))
    raise SpecError(
        f"few-shot: found room for 0 of {longest} shots ({max(0, request.room)} tokens beside the longest prompt and the answer, "
        f"the instruction alone takes {len(request.tokenizer.encode(system))}); choose a base model with a longer context, "
        "or take few-shot out of prove.against"
    )


STRATEGIES: dict[str, Callable[[PromptRequest], Prompt]] = {"zero-shot": zero_shot, "few-shot": few_shot}
