"""Records of choosing a prompt: every prompt that was tried, and what the choice cost; prompts brought from elsewhere."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from provetune.records.base import Frozen, Record
from provetune.records.candidate import Candidate, Prompt
from provetune.stats.estimate import Estimate

SEARCHED = "prompt-search"
"""What the base model with the prompt that a search found is called."""


class PromptTrial(Frozen):
    """One prompt that was tried, with its score on the first `rows` rows of the search's order.

    `length` is what it adds to each request, in tokens; `prompt_tokens` and `completion_tokens` are those of all its requests.
    """

    prompt: Prompt
    origin: str
    length: int
    rung: int
    rows: int
    score: Estimate
    not_measured: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class PromptSearch(Record):
    """A search for the best prompt of one model on validation.

    `rung_rows` are the rows that each rung's scores rest on, every rung's among the next one's. `free_gain` is the score that the
    winner would owe to the choice alone if all prompts tried were in truth equally good. `cost_usd` is None where no price is known.
    """

    SCHEMA: ClassVar[str] = "prompt_search/1"
    candidate: Candidate
    metric: str
    seed: int
    max_prompts: int
    max_completions: int | None
    rung_rows: tuple[int, ...]
    trials: tuple[PromptTrial, ...]
    winner: int
    free_gain: Estimate
    completions: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None = None
    stopped_because: str
    left_out: tuple[str, ...] = ()


class NamedPrompt(Frozen):
    """A prompt and what it is called."""

    name: str
    prompt: Prompt


class PromptSet(Record):
    """Prompts read from another tool's file; `left_out` says what of it has no counterpart here, one thing a line."""

    SCHEMA: ClassVar[str] = "prompt_set/1"
    source: str
    prompts: tuple[NamedPrompt, ...] = Field(min_length=1)
    left_out: tuple[str, ...] = ()
