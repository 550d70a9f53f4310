"""A model as judge of two completions, never alone in a gate: both orders, ties, and controls that show how far it can be trusted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from provetune.protocols import Generator, Progress
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Message
from provetune.stats.estimate import Estimate
from provetune.stats.proportion import wilson
from provetune.stats.resampling import mean_interval
from provetune.stats.units import FLAT, Resampling, clipped, flat_interval

QUESTION = """Two texts answer the same request. Say which one answers it better: more correct, more complete, more to the point. \
Length is no merit, and the order of the texts says nothing. End with one line that reads only A, B or TIE.

Request:
{prompt}

Text A:
{first}

Text B:
{second}"""

CONSTANT = "Thank you for your request. Here is a complete, correct and helpful answer to it."
"""What the constant-answer control writes for every request: a judge that prefers it judges form, not content."""
FEWEST_HUMAN = 20
SETTINGS = GenerationSettings(max_new_tokens=512)
_VERDICT = re.compile(r"\W*(?:verdict|answer)?\W*(A|B|TIE)\W*", re.IGNORECASE)


@dataclass(frozen=True)
class Pair:
    """One request with the completions of two candidates; `a` is the one that the preference speaks of."""

    prompt: str
    a: str
    b: str


@dataclass(frozen=True)
class Judgement:
    """What a judge said of pairs. `scores` hold 1 where `a` won in both orders, 0 where `b` did, 0.5 else, None where unreadable.

    `preference` is the mean of the scores; `consistent` the share of pairs with the same winner, or a tie, in both orders; `first_wins`
    the share of all decided verdicts that went to the text shown first (0.5 is no bias); `length_ratio` is words of a over words of
    b. The controls: `same_text` is the share of verdicts on one text against itself that were a tie, `constant` the preference for an
    empty phrase over `b`, `same_text_first_wins` as `first_wins` where nothing but the order differs.
    """

    scores: tuple[float | None, ...]
    preference: Estimate
    consistent: Estimate
    first_wins: Estimate
    length_ratio: float | None
    same_text: Estimate
    same_text_first_wins: Estimate
    constant: Estimate

    @property
    def not_measured(self) -> int:
        """Pairs without a readable verdict in both orders."""
        return sum(score is None for score in self.scores)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What speaks against trusting this judge, from the bounds of the intervals."""
        found = []
        for name, first in (("", self.first_wins), (" of equal texts", self.same_text_first_wins)):
            if first.low is not None and first.high is not None and not first.low <= 0.5 <= first.high:
                found.append(f"position bias: the text shown first wins {first.value:.0%} of the decided verdicts{name}")
        if self.constant.high is not None and self.constant.high >= 0.5:
            found.append(f"an empty phrase is preferred at a rate of {self.constant.value:.0%}; not shown to be below half")
        if self.not_measured > 0.02 * len(self.scores):
            found.append(f"{self.not_measured} of {len(self.scores)} pairs without a readable verdict")
        return tuple(found)


def read_verdict(text: str) -> str | None:
    r"""`A`, `B` or `TIE` from the last line that says anything, None where it says something else.

    >>> read_verdict("Both are fine, A is shorter.\nVerdict: **a**"), read_verdict("A is better than B")
    ('A', None)
    """
    lines = [line for line in text.splitlines() if line.strip()]
    found = _VERDICT.fullmatch(lines[-1]) if lines else None
    return found[1].upper() if found else None


def judge(generator: Generator, pairs: Sequence[Pair], progress: Progress, settings: GenerationSettings = SETTINGS) -> Judgement:
    """Ask for every pair in both orders, and for both controls (six completions a pair). After MT-Bench (Zheng et al. 2023).

    The judge should be another model than both candidates, at temperature 0.
    """
    kinds = (list(pairs), [Pair(p.prompt, p.b, p.b) for p in pairs], [Pair(p.prompt, CONSTANT, p.b) for p in pairs])
    asked = [(p.prompt, *order) for kind in kinds for p in kind for order in ((p.a, p.b), (p.b, p.a))]
    prompts = [[Message(role="user", content=QUESTION.format(prompt=p, first=a, second=b))] for p, a, b in asked]
    verdicts = [None if c.text is None else read_verdict(c.text) for c in generator.generate(prompts, settings, progress)]
    size = 2 * len(pairs)
    own, same, constant = (verdicts[start : start + size] for start in (0, size, 2 * size))
    scores = tuple(_score(first, second) for first, second in zip(own[::2], own[1::2], strict=True))
    both = [(a, b) for a, b in zip(own[::2], own[1::2], strict=True) if a is not None and b is not None]
    words = [sum(len(text.split()) for text in texts) for texts in ((p.a for p in pairs), (p.b for p in pairs))]
    return Judgement(
        scores=scores,
        preference=_mean(scores),
        consistent=wilson(sum(a == _swapped(b) for a, b in both), len(both)),
        first_wins=_first(own),
        length_ratio=words[0] / words[1] if words[1] else None,
        same_text=wilson(same.count("TIE"), sum(verdict is not None for verdict in same)),
        same_text_first_wins=_first(same),
        constant=_mean([_score(first, second) for first, second in zip(constant[::2], constant[1::2], strict=True)]),
    )


def corrected(judgement: Judgement, human: Mapping[int, float], confidence: float = 0.95) -> Estimate:
    """The preference as people would give it, from the judge's scores of all pairs and people's of some: `human[place]` from 0 to 1.

    The mean of the judge plus its mean error where people looked (prediction-powered inference, Angelopoulos et al. 2023), with a
    normal interval. Fewer than 20 pairs that both have scored give no estimate.
    """
    judged = {place: score for place, score in enumerate(judgement.scores) if score is not None}
    errors = np.array([human[place] - judged[place] for place in human if place in judged])
    if len(errors) < FEWEST_HUMAN:
        return Estimate(None, None, None, len(errors), confidence, "prediction-powered")
    scores = np.array(list(judged.values()))
    value = min(1.0, max(0.0, float(scores.mean() + errors.mean())))
    half = float(ndtri((1 + confidence) / 2)) * float(np.sqrt(scores.var(ddof=1) / len(scores) + errors.var(ddof=1) / len(errors)))
    low, high = clipped(value - half, value + half, (0.0, 1.0))
    if high - low <= FLAT:
        low, high = flat_interval(value, len(errors), (0.0, 1.0), confidence)
    return Estimate(value, low, high, len(errors), confidence, "prediction-powered")


def _swapped(verdict: str) -> str:
    return {"A": "B", "B": "A"}.get(verdict, verdict)


def _score(first: str | None, second: str | None) -> float | None:
    """1 where the text shown first in `first` won both times, 0 where it lost both times, else a tie."""
    if first is None or second is None:
        return None
    return {("A", "B"): 1.0, ("B", "A"): 0.0}.get((first, second), 0.5)


def _mean(scores: Sequence[float | None]) -> Estimate:
    measured = np.array([score for score in scores if score is not None], dtype=float)
    return mean_interval(measured, None, Resampling(seed=0), bounds=(0.0, 1.0))


def _first(verdicts: Sequence[str | None]) -> Estimate:
    decided = [verdict for verdict in verdicts if verdict in ("A", "B")]
    return wilson(decided.count("A"), len(decided))
