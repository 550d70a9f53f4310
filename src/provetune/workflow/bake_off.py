"""The bake-off: each base asked zero-shot and tuned a little on the same rows, compared in pairs on validation rows."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from provetune.evaluation import compare
from provetune.hashing import fingerprint
from provetune.models.lazy import LazyGenerator
from provetune.models.locate import model_folder
from provetune.models.tokenizer import model_ref
from provetune.planning import plan
from provetune.planning.bases import pareto, tiers
from provetune.prompting import prompt_of
from provetune.records.bases import BakedBase, BakedTraining, BaseComparison
from provetune.records.candidate import Candidate, Method
from provetune.records.data import Example
from provetune.records.evaluation import Comparison, Evaluation
from provetune.store import StepKey, content_sha256
from provetune.workflow import steps
from provetune.workflow.project import Project
from provetune.workflow.prompts import generation_settings, prompt_request
from provetune.workflow.training import Trainings
from provetune.workflow.tuned import load_generator

EPOCHS = 6
"""Passes of the short tuning where the project file names none."""
METHOD: Method = "lora"
"""How all bases are tuned where the project file leaves it open: in one way, or the ways would be compared."""


@dataclass(frozen=True)
class Bake:
    """Rows that every base is tuned and measured on, and the minutes that all tunings together may take."""

    train: Sequence[Example]
    validation: Sequence[Example]
    minutes: float


@dataclass(frozen=True)
class _Tried:
    name: str
    zero_shot: Evaluation
    tuned: Evaluation
    seconds: float
    note: str


def baked(facts: BaseComparison, bases: Sequence[Project], bake: Bake) -> BaseComparison:
    """Tune and measure each base and rank them; bases that the data do not tell apart share a tier.

    The intervals between bases are widened (Bonferroni) for the number of pairs. Each tuning gets an equal share of the minutes; one
    that does not end in it is judged by its best weights so far, and says so.
    """
    seconds = 60 * bake.minutes / max(len(bases), 1)
    tried = [_tried(_ready(base), bake, seconds) for base in bases]
    sign = 1.0 if facts.higher_is_better else -1.0
    order = sorted(tried, key=lambda one: (-sign * _value(one.tuned, facts.metric, sign), one.name))
    pairs = max(len(order) * (len(order) - 1) // 2, 1)
    confidence = 1 - (1 - facts.confidence) / pairs
    between = {(a.name, b.name): compare(a.tuned, b.tuned, facts.metric, confidence) for a, b in combinations(order, 2)}
    tier = tiers([one.name for one in order], lambda better, worse: _apart(between[better, worse]))
    points = {one.name: (sign * _value(one.tuned, facts.metric, sign), one.seconds, _per_answer(one.tuned)) for one in order}
    best = pareto(points)
    rows = tuple(_baked(one, facts, tier[one.name], pareto=one.name in best) for one in order)
    return facts.model_copy(
        update={
            "train_rows": len(bake.train),
            "validation_rows": len(bake.validation),
            "method": bases[0].spec.train.method if bases and bases[0].spec.train.method != "auto" else METHOD,
            "budget_seconds": 60 * bake.minutes,
            "baked": rows,
            "between": tuple(between.values()),
            "sentence": _sentence(rows, between, facts.metric),
        }
    )


def _ready(base: Project) -> Project:
    """The project on this base with its weights, fetched where they are on the hub, and the settings of a short tuning."""
    spec = base.spec
    folder = model_folder(spec.base.model, spec.base.revision, base.folder, offline=bool(os.environ.get("HF_HUB_OFFLINE")))
    model = model_ref(folder, spec.base.model, spec.base.revision, base.tokenizer)
    given = spec.train
    method = METHOD if given.method == "auto" else given.method
    train = given.model_copy(update={"method": method, "epochs": EPOCHS if given.epochs == "auto" else given.epochs})
    return replace(base, spec=spec.model_copy(update={"train": train}), base_folder=folder, model=model)


def _tried(base: Project, bake: Bake, seconds: float) -> _Tried:
    name = base.spec.base.model
    settings = generation_settings(base, bake.train)
    asked = Candidate(
        name="zero-shot",
        kind="prompt",
        prompt=prompt_of("zero-shot", prompt_request(base, bake.train, settings)),
        generation=settings,
        model=base.model,
    )
    generator = LazyGenerator(lambda: load_generator(base, None, None))
    zero_shot = steps.evaluate(base, asked, generator, bake.validation, "validation")
    planned = plan(steps.plan_request(base, bake.train, 0))
    learner = Trainings(base, planned, settings, bake.validation, max_seconds=seconds)
    base.progress(f"bake-off: tuning {name}", 0, 1)

    def make() -> BakedTraining:
        began = time.monotonic()
        measured = learner.measured(bake.train, 0)
        return BakedTraining(evaluation=measured, seconds=time.monotonic() - began)

    key = StepKey("bake-off", 1, {"learner": learner.key, "rows": content_sha256(bake.train), "seconds": fingerprint(seconds)})
    made = base.store.once(key, BakedTraining, make)
    note = f"its share of the budget, {seconds:,.0f} s, was used up before all epochs were done" if made.seconds > seconds else ""
    return _Tried(name, _called(zero_shot, f"{name}, zero-shot"), _called(made.evaluation, name), made.seconds, note)


def _called(found: Evaluation, name: str) -> Evaluation:
    return found.model_copy(update={"candidate": found.candidate.model_copy(update={"name": name})})


def _value(found: Evaluation, metric: str, sign: float) -> float:
    value = found.summary[metric].value
    return -sign * float("inf") if value is None else value


def _per_answer(found: Evaluation) -> float:
    return found.seconds / max(len(found.example_ids) - found.not_measured, 1)


def _apart(pair: Comparison) -> bool:
    low, high = pair.difference.low, pair.difference.high
    return low is not None and high is not None and (low > 0 or high < 0)


def _baked(one: _Tried, facts: BaseComparison, tier: int, *, pareto: bool) -> BakedBase:
    return BakedBase(
        name=one.name,
        tier=tier,
        zero_shot=one.zero_shot.summary[facts.metric],
        tuned=one.tuned.summary[facts.metric],
        gain=compare(one.tuned, one.zero_shot, facts.metric, facts.confidence),
        tuning_seconds=one.seconds,
        seconds_per_answer=_per_answer(one.tuned),
        pareto=pareto,
        note=one.note,
    )


def _sentence(rows: Sequence[BakedBase], between: dict[tuple[str, str], Comparison], metric: str) -> str:
    if not rows:
        return "No base could be tuned here, so none was ranked."
    first = [row.name for row in rows if row.tier == 1]
    if len(first) > 1:
        names = " and ".join(first)
        return f"{names} are not told apart ({metric} of {rows[0].name} {rows[0].tuned}): take the cheaper one, or more rows."
    said = f"{rows[0].name} is the best base: {metric} {rows[0].tuned}"
    if len(rows) == 1:
        return f"{said}; no other was tried."
    pair = between[rows[0].name, rows[1].name]
    return f"{said}, ahead of {rows[1].name} by {pair.difference}."
