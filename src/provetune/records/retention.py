"""Records of what tuning made a model forget: suite items, their scores, the comparison with the base, what is recited."""

from __future__ import annotations

import re
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from provetune.records.base import Frozen, Record
from provetune.stats.estimate import Estimate

SkillStatus = Literal["judged", "not measurable", "too small to judge"]


class SuiteItem(Frozen):
    """One question of a retention suite, asked as a user turn after an optional system line.

    Either `options`, of which the one at place `answer` is right (the likeliest counts as chosen), or a `pattern`, a regular
    expression that the whole completion must match. Items of one `group` are no independent evidence.

    >>> SuiteItem(skill="capitals", prompt="Capital of Italy?", options=("Paris", "Rome"), answer=1).chance
    0.5
    """

    id: str = ""
    skill: str = Field(min_length=1)
    prompt: str = Field(min_length=1)
    options: tuple[str, ...] = ()
    answer: int = Field(default=0, ge=0)
    pattern: str | None = None
    system: str | None = None
    group: str | None = None

    @property
    def chance(self) -> float:
        """How often guessing is right."""
        return 1 / len(self.options) if self.options else 0.0

    @model_validator(mode="after")
    def _answerable(self) -> Self:
        if bool(self.options) == (self.pattern is not None):
            raise ValueError("wanted either options with an answer, or a pattern")
        if self.options and (len(set(self.options)) < max(2, len(self.options)) or self.answer >= len(self.options)):
            raise ValueError(
                f"found {len(self.options)} options and answer {self.answer}; wanted two or more that differ, and a place among them"
            )
        if self.pattern is not None:
            try:
                re.compile(self.pattern)
            except re.error as error:
                raise ValueError(f"pattern is no regular expression ({error})") from error
        return self


ItemScore = tuple[float, ...]
"""(right 0/1, nats of the right option, nats of choosing it among the options); (right 0/1,) for an item with a pattern."""


class SuiteScores(Record):
    """One model on the items of one suite, in their order; None where an item was not measured."""

    SCHEMA: ClassVar[str] = "suite_scores/1"
    suite: str
    items_sha256: str
    scores: tuple[ItemScore | None, ...]


class SkillRetention(Frozen):
    """One skill before and after tuning, on the same items.

    `before` and `after` are shares of right items, `difference` is after minus before at the two-sided confidence whose lower bound
    is the one-sided one. `nats_difference` is how much less likely the right option became, `choice_nats_difference` the same among
    the options alone: above 0 something was lost. `scores` are the pairs of rows that all of it is computed from.
    """

    suite: str
    skill: str
    status: SkillStatus
    chance: float
    margin: float
    items: int
    not_measured: int
    before: Estimate
    after: Estimate
    difference: Estimate
    nats_difference: Estimate | None
    choice_nats_difference: Estimate | None
    lost: int
    gained: int
    scores: tuple[tuple[ItemScore, ItemScore], ...]
    groups: tuple[int, ...]


class Drift(Frozen):
    """How far the tuned model's next-token distribution is from the base's, per token of `texts` texts.

    `kl` is the mean of KL(base || tuned) in nats, `nats_difference` the mean of how much less likely the tokens became.
    """

    texts: int
    not_measured: int
    kl: Estimate
    nats_difference: Estimate


class Exposure(Frozen):
    """A planted text that nobody could guess: its rank among alternatives by likelihood, before and after tuning.

    `bits` are log2(alternatives + 1) - log2(rank), the exposure of Carlini et al. 2019 (arXiv 1802.08232); `recited` where the
    tuned model writes it by itself.
    """

    canary: str
    alternatives: int
    rank_before: int
    rank_after: int
    bits_before: float
    bits_after: float
    recited: bool


class Memorisation(Frozen):
    """Whether the model recites training targets of at least `words` words; shorter ones (`too_short`) cannot tell.

    `before` and `after` are the shares of training rows recited by base and tuned model, `difference` after minus before;
    `unseen` is the tuned model's share on rows it was not trained on, which no memory explains.
    """

    words: int
    too_short: int
    before: Estimate
    after: Estimate
    difference: Estimate
    unseen: Estimate
    recited_ids: tuple[str, ...]


class RetentionReport(Record):
    """What tuning made a model forget, remember too well, or do otherwise.

    `kept` is the mean of tuned minus base over all items of the skills that are judged; None where there are none.
    """

    SCHEMA: ClassVar[str] = "retention/1"
    candidate: str
    skills: tuple[SkillRetention, ...]
    kept: Estimate | None = None
    kl_self: Drift | None = None
    kl_task: Drift | None = None
    memorisation: Memorisation | None = None
    exposures: tuple[Exposure, ...] = ()
    seconds: float = 0.0
