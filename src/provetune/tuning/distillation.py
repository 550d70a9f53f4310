"""Targets written by a model in place of the given ones: a larger teacher's, or the base's own words for what a person wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from provetune.chat import prompt_messages
from provetune.metrics import metric_named
from provetune.protocols import Generator, Progress
from provetune.records.candidate import GenerationSettings, Prompt
from provetune.records.data import Example, Message
from provetune.scoring import Yardstick, row_of

PLAIN = Prompt(strategy="plain")
AT_LEAST = 0.5
"""Where the metric is no plain right or wrong, a rewritten target is kept from this score on, held against the given one."""


@dataclass(frozen=True)
class Rules:
    """Who writes and what is kept: `own_words` shows the writer the given target; a completion counts as right from `at_least` on."""

    settings: GenerationSettings
    yardstick: Yardstick
    metric: str
    own_words: bool
    at_least: float = AT_LEAST


def distilled(examples: Sequence[Example], writer: Generator, rules: Rules, progress: Progress) -> tuple[list[Example], dict[str, int]]:
    """The examples with the writer's targets where these are right by the metric, and how many were rewritten, kept, and why.

    Own words for one's own training are SDFT (Yang et al. 2024, arXiv 2402.13669); a larger teacher's texts are sequence-level
    distillation (Kim and Rush 2016, arXiv 1606.07947).
    """
    completions = writer.generate([_asked(example, own_words=rules.own_words) for example in examples], rules.settings, progress)
    counts = {"rewritten": 0, "given target kept: nothing was written": 0, "given target kept: not right by the metric": 0}
    found = []
    for example, completion in zip(examples, completions, strict=True):
        text = (completion.text or "").strip()
        if not text or not completion.stopped:
            counts["given target kept: nothing was written"] += 1
        elif not _right(example, text, rules):
            counts["given target kept: not right by the metric"] += 1
        else:
            counts["rewritten"] += text != example.target
            example = example.model_copy(update={"messages": (*example.messages[:-1], Message(role="assistant", content=text))})
        found.append(example)
    return found, counts


def _asked(example: Example, *, own_words: bool) -> tuple[Message, ...]:
    messages = prompt_messages(PLAIN, example)
    if not own_words:
        return messages
    last = messages[-1]
    wish = f"{last.content}\n\nA right answer is:\n{example.target}\n\nGive this answer in your own words, with nothing left out or added."
    return (*messages[:-1], last.model_copy(update={"content": wish}))


def _right(example: Example, text: str, rules: Rules) -> bool:
    metric = metric_named(rules.metric)
    observed = metric.observe(row_of(example, text, rules.yardstick))
    if observed is None:
        return False
    value = float(metric.aggregate(np.array([observed], dtype=float), np.ones((1, 1)))[0])
    return value >= rules.at_least if metric.higher_is_better else value <= rules.at_least
