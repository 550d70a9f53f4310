"""What tuning made a model forget: the same items asked before and after, and how far its distribution moved."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from provetune.hashing import fingerprint, seed_of
from provetune.protocols import BeforeAndAfter, Progress, Speaker, TokenDivergence
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Message
from provetune.records.retention import Drift, ItemScore, RetentionReport, SkillRetention, SkillStatus, SuiteItem, SuiteScores
from provetune.scoring import group_numbers
from provetune.stats.difference import one_value, paired_difference
from provetune.stats.estimate import Estimate
from provetune.stats.measure import Measure
from provetune.stats.resampling import mean_interval
from provetune.stats.units import TOO_FEW_GROUPS, FloatArray, IntArray, Resampling

SMALLEST_PANEL = 250
"""Items from which a skill is judged: fewer cannot show a loss of five points."""
MARGIN = 0.05
FREE_TOKENS, SELF_TOKENS = 48, 64
DIGITS = 5
Talk = tuple[Message, ...]


def _share(observations: FloatArray, weights: FloatArray) -> FloatArray:
    found: FloatArray = weights @ observations[:, 0] / weights.sum(axis=1)
    return found


RIGHT = Measure("binary", _share)


@dataclass(frozen=True)
class Texts:
    """On what the drift is measured: `prompts` that the base itself answers, `task` conversations that end with their target."""

    prompts: Sequence[Talk] = ()
    task: Sequence[Talk] = ()
    seed: int = 0


@dataclass(frozen=True)
class Terms:
    """How a loss is judged: at most `margin`, one-sided at `confidence`; `before` are scores of the base that are already there."""

    margin: float = MARGIN
    confidence: float = 0.95
    before: Mapping[str, SuiteScores] = field(default_factory=dict)


def measure_retention(
    pair: BeforeAndAfter, suites: Mapping[str, Sequence[SuiteItem]], texts: Texts, terms: Terms, progress: Progress
) -> RetentionReport:
    """Ask base and tuned model all items, and let both read what the base wrote; the candidate's name is left to the caller."""
    started = time.monotonic()
    skills: list[SkillRetention] = []
    for name, items in suites.items():
        before = terms.before.get(name) or score_suite(pair.before, name, items, progress)
        skills += compare_skills(items, before, score_suite(pair.after, name, items, progress), terms)
    written = write_texts(pair.before, texts.prompts, texts.seed, progress)
    unwritten = [None] * (len(texts.prompts) - len(written))
    return RetentionReport(
        candidate="",
        skills=tuple(skills),
        kl_self=drift([*pair.divergence(written, progress), *unwritten]) if texts.prompts else None,
        kl_task=drift(pair.divergence(texts.task, progress)) if texts.task else None,
        seconds=time.monotonic() - started,
    )


def items_sha256(items: Sequence[SuiteItem]) -> str:
    """What decides the scores of a suite, beside the model."""
    return fingerprint([item.model_dump(mode="json") for item in items])


def score_suite(speaker: Speaker, name: str, items: Sequence[SuiteItem], progress: Progress) -> SuiteScores:
    """One model's scores: the likeliest option is its choice, each measured as a whole turn with the token that ends it."""
    scores: list[ItemScore | None] = [None] * len(items)
    chosen = [place for place, item in enumerate(items) if item.options]
    likelihoods = speaker.loglikelihood([_asked(items[place]) for place in chosen], [items[place].options for place in chosen], progress)
    for place, found in zip(chosen, likelihoods, strict=True):
        if found.nats is not None and np.isfinite(found.nats).all():
            scores[place] = _choice_score(np.array(found.nats), items[place].answer)
    free = [place for place, item in enumerate(items) if item.pattern is not None]
    settings = GenerationSettings(max_new_tokens=FREE_TOKENS)
    completions = speaker.generate([_asked(items[place]) for place in free], settings, progress) if free else []
    for place, completion in zip(free, completions, strict=True):
        if completion.text is not None:
            scores[place] = (float(re.fullmatch(items[place].pattern or "", completion.text.strip()) is not None),)
    return SuiteScores(suite=name, items_sha256=items_sha256(items), scores=tuple(scores))


def _asked(item: SuiteItem) -> Talk:
    user = Message(role="user", content=item.prompt)
    return (user,) if item.system is None else (Message(role="system", content=item.system), user)


def _choice_score(likelihoods: FloatArray, answer: int) -> ItemScore:
    """Of several options that are equally likely none is chosen."""
    right = all(likelihoods[answer] > other for place, other in enumerate(likelihoods) if place != answer)
    among = float(np.logaddexp.reduce(likelihoods) - likelihoods[answer])
    return float(right), round(-float(likelihoods[answer]), DIGITS), round(among, DIGITS)


def compare_skills(items: Sequence[SuiteItem], before: SuiteScores, after: SuiteScores, terms: Terms) -> list[SkillRetention]:
    """Each skill of a suite, in the order of its first item."""
    found = []
    for skill in dict.fromkeys(item.skill for item in items):
        places = [place for place, item in enumerate(items) if item.skill == skill]
        both = [(place, b, a) for place in places if (b := before.scores[place]) is not None and (a := after.scores[place]) is not None]
        groups = group_numbers([f"item {place}" if (own := items[place].group) is None else f"group {own}" for place, _, _ in both])
        chance = float(np.mean([items[place].chance for place in places]))
        made = _skill(tuple((b, a) for _, b, a in both), groups, chance, terms)
        found.append(made.model_copy(update={"suite": before.suite, "skill": skill, "not_measured": len(places) - len(both)}))
    return found


def again(skill: SkillRetention) -> SkillRetention:
    """The same skill computed once more from its stored scores."""
    groups = np.array(skill.groups, dtype=np.int64) if skill.groups else None
    terms = Terms(skill.margin, (1 + skill.difference.confidence) / 2)
    kept = {"suite": skill.suite, "skill": skill.skill, "not_measured": skill.not_measured}
    return _skill(skill.scores, groups, skill.chance, terms).model_copy(update=kept)


def _skill(scores: tuple[tuple[ItemScore, ItemScore], ...], groups: IntArray | None, chance: float, terms: Terms) -> SkillRetention:
    right = np.array([(b[0], a[0]) for b, a in scores], dtype=float).reshape(-1, 2)
    two_sided = Resampling(seed_of("retention"))
    one_sided = Resampling(two_sided.seed, 2 * terms.confidence - 1)
    compared = paired_difference(RIGHT, right[:, 1:], right[:, :1], groups, one_sided)
    before = one_value(RIGHT, right[:, :1], groups, two_sided)
    graded = bool(scores) and all(len(b) == 3 for b, _ in scores)
    return SkillRetention(
        suite="",
        skill="",
        status=_status(before, chance, len(scores), terms.margin),
        chance=chance,
        margin=terms.margin,
        items=len(scores),
        not_measured=0,
        before=before,
        after=one_value(RIGHT, right[:, 1:], groups, two_sided),
        difference=compared.difference,
        nats_difference=_mean([a[1] - b[1] for b, a in scores], groups) if graded else None,
        choice_nats_difference=_mean([a[2] - b[2] for b, a in scores], groups) if graded else None,
        lost=compared.losses,
        gained=compared.wins,
        scores=scores,
        groups=() if groups is None else tuple(groups.tolist()),
    )


def _status(before: Estimate, chance: float, items: int, margin: float) -> SkillStatus:
    """Only what the base can do, by more than the margin, can be lost by the margin."""
    if before.value is None or before.low is None or before.low <= chance or before.value - chance <= margin:
        return "not measurable"
    return "judged" if items >= SMALLEST_PANEL and before.n >= TOO_FEW_GROUPS else "too small to judge"


def _mean(values: Sequence[float] | FloatArray, groups: IntArray | None) -> Estimate:
    """Mean of numbers without natural bounds: the bounds are what was seen, on both sides of zero."""
    found = np.asarray(values, dtype=float)
    reach = max(1e-6, float(np.abs(found).max())) if len(found) else 1.0
    return mean_interval(found, groups, Resampling(seed_of("retention nats")), bounds=(-reach, reach))


def overall(skills: Sequence[SkillRetention]) -> Estimate | None:
    """Mean of tuned minus base over all items of the skills that are judged, two-sided at 95 %; None where there are none."""
    judged = [skill for skill in skills if skill.status == "judged"]
    if not judged:
        return None
    numbers: list[int] = []
    for skill in judged:
        own = skill.groups or range(skill.items)
        numbers += [len(skills) * number + skills.index(skill) for number in own]
    differences = [a[0] - b[0] for skill in judged for b, a in skill.scores]
    return mean_interval(np.array(differences), np.array(numbers), Resampling(seed_of("retention overall")), bounds=(-1.0, 1.0))


def write_texts(speaker: Speaker, prompts: Sequence[Talk], seed: int, progress: Progress) -> list[Talk]:
    """What the model itself writes after each prompt, drawn once at temperature 1; empty completions are left out."""
    if not prompts:
        return []
    settings = GenerationSettings(max_new_tokens=SELF_TOKENS, temperature=1.0, seed=seed)
    completions = speaker.generate(prompts, settings, progress)
    return [
        (*map(_not_its_own, prompt), Message(role="assistant", content=completion.text))
        for prompt, completion in zip(prompts, completions, strict=True)
        if completion.text
    ]


def _not_its_own(message: Message) -> Message:
    """An earlier turn of a conversation is read, not measured."""
    return message.model_copy(update={"weight": 0}) if message.role == "assistant" else message


def drift(divergences: Sequence[TokenDivergence | None]) -> Drift:
    """Means over all tokens of all texts; whole texts are resampled, as tokens of one text are no independent evidence."""
    found = [one for one in divergences if one is not None]
    groups = np.repeat(np.arange(len(found)), [len(one.kl) for one in found])
    kl = np.concatenate([one.kl for one in found] or [np.zeros(0)])
    change = np.concatenate([one.after - one.before for one in found] or [np.zeros(0)])
    return Drift(texts=len(found), not_measured=len(divergences) - len(found), kl=_mean(kl, groups), nats_difference=_mean(change, groups))
