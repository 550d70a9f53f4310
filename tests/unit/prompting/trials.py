"""Prompts with a known truth: a measure that is right as often as the prompt's words say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from provetune.hashing import seed_of
from provetune.prompting.proposals import Proposal
from provetune.prompting.search import SearchBudget, SearchRequest
from provetune.records.candidate import Candidate, Prompt
from provetune.records.data import Example
from provetune.records.evaluation import Evaluation
from provetune.stats.proportion import wilson
from tests.unit.records_by_hand import candidate_of, examples_of

ROWS = examples_of(["refund"] * 288)


def proposal(words: str) -> Proposal:
    return Proposal(Prompt(strategy="zero-shot", system=words), f"by hand: {words}")


def length(prompt: Prompt) -> int:
    return len((prompt.system or "").split())


@dataclass
class Truth:
    """Right with a chance of `usual`, or `known[words]`; the same row is always answered alike. Counts what is asked anew."""

    known: dict[str, float] = field(default_factory=dict)
    usual: float = 0.7
    seed: int = 0
    silent: frozenset[str] = frozenset()
    asked: set[tuple[str, str]] = field(default_factory=set)
    sizes: list[tuple[str, int]] = field(default_factory=list)

    def __call__(self, candidate: Candidate, examples: Sequence[Example]) -> Evaluation:
        words = candidate.prompt.system or ""
        generator = np.random.default_rng(seed_of(words, self.seed))
        lucky = dict(zip((row.id for row in ROWS), generator.random(len(ROWS)), strict=True))
        right = [float(lucky[e.id] < self.known.get(words, self.usual)) for e in examples]
        self.asked |= {(words, e.id) for e in examples}
        self.sizes.append((words, len(examples)))
        gone = words in self.silent
        return Evaluation(
            candidate=candidate,
            part="validation",
            example_ids=tuple(e.id for e in examples),
            group_ids=tuple(e.group or e.id for e in examples),
            metrics={"accuracy": "accuracy/1"},
            observations={"accuracy": tuple(None if gone else (score,) for score in right)},
            summary={"accuracy": wilson(0, 0) if gone else wilson(int(sum(right)), len(right))},
            parsed=wilson(0, 0),
            not_measured=len(examples) if gone else 0,
            predictions_file="",
            seconds=0.0,
            prompt_tokens=10 * len(examples),
            completion_tokens=len(examples),
        )


def request_of(words: Sequence[str], truth: Truth, budget: SearchBudget | None = None) -> SearchRequest:
    return SearchRequest(
        template=candidate_of("searched"),
        proposals=[proposal(text) for text in words],
        validation=ROWS,
        measure=truth,
        metric="accuracy",
        budget=budget or SearchBudget(len(words)),
        seed=7,
        length=length,
    )
