"""How the tuned model treats groups, as one step of a run: rules before training, measurements when the test rows are open."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from provetune.evaluation.bias_sets import bias_panels
from provetune.evaluation.by_slice import SLICES, is_named, representation, slice_panels, slices_of, worst_gap
from provetune.evaluation.fairness import COUNTERFACTUAL, Limits, Side, counterfactual, make_twins
from provetune.hashing import fingerprint
from provetune.metrics import metric_named
from provetune.models.responses import CachedGenerator
from provetune.prompting import WithShots
from provetune.protocols import Generator
from provetune.records.candidate import Candidate
from provetune.records.data import Example, Split
from provetune.records.evaluation import GateRule
from provetune.records.fairness import FairnessPanel, FairnessReport, SwapCount
from provetune.store import StepKey, content_sha256
from provetune.suites.bias_sets import load_bias_set
from provetune.suites.fairness import swapped_categories
from provetune.workflow import steps
from provetune.workflow.contender import Contender
from provetune.workflow.project import Project
from provetune.workflow.yardstick import yardstick_key, yardstick_of

FEWEST_PROMPTS = 20
"""Unsealed prompts that must name a group of a category before it is measured."""


@dataclass(frozen=True)
class Treated:
    """Base and tuned model as they take part in the proof, the opened test rows, all other rows, and the one-sided confidence."""

    before: Contender
    after: Contender
    rows: Sequence[Example]
    unsealed: Sequence[Example]
    confidence: float


def unsealed_rows(project: Project, parts: Split) -> list[Example]:
    """The rows of training and validation."""
    mine = {*parts.train_ids, *parts.validation_ids}
    return [example for example in project.examples if example.id in mine]


def fairness_rules(project: Project, parts: Split, prompts: Iterable[str]) -> tuple[GateRule, ...]:
    """One rule per category that the unsealed prompts name, per slice that the project file names, per measure of a bias set.

    They are fixed before training. Where none of the `prompts` goes to the base model there is nothing to hold it against, and no rule.
    """
    spec, unsealed = project.spec.prove, unsealed_rows(project, parts)
    remote = {baseline.called for baseline in project.spec.baselines if baseline.endpoint is not None}
    if not set(prompts) - remote:
        return ()
    slices = (name for name in slices_of(unsealed, project.spec.data.columns.slice) if is_named(name, spec.slices))
    named = [
        *((COUNTERFACTUAL, name, f"treats groups alike ({name})") for name in _categories(project, unsealed)),
        *((SLICES, name, f"not worse for {name}") for name in slices),
        *((path, name, f"no more bias in {name}") for path in spec.fairness.sets for name in load_bias_set(path, project.folder).judged),
    ]
    limits = {"margin": spec.fairness.margin, "confidence": spec.confidence}
    base = f"the base model {project.model.name}"
    return tuple(
        GateRule(name=told, kind="not_worse_than", metric=name, baseline=base, panel=panel, **limits) for panel, name, told in named
    )


def _categories(project: Project, unsealed: Sequence[Example]) -> tuple[str, ...]:
    if project.spec.prove.fairness.counterfactual == "none":
        return ()
    return swapped_categories((example.prompt_text for example in unsealed), FEWEST_PROMPTS)


def best_prompted(project: Project, contenders: Sequence[Contender]) -> Contender | None:
    """The prompt on the base model that did best on validation: what would be used without tuning."""
    prompts = [one for one in contenders if one.candidate.kind == "prompt" and one.endpoint is None]
    return max(prompts, key=lambda one: steps.score(project, one.winner) if one.measured else -1.0, default=None)


def fairness_on_test(
    project: Project, parts: Split, contenders: Sequence[Contender], champion: Candidate, opened: tuple[Sequence[Example], float]
) -> FairnessReport | None:
    """The report of the champion on the opened rows, judged one-sided at a confidence.

    None where no prompt goes to the base model, and where there is nothing to measure: no slice, no group, no set.
    """
    before = best_prompted(project, contenders)
    after = next(one for one in contenders if one.candidate.name == champion.name)
    if before is None:
        return None
    found = fairness(project, Treated(before, after, opened[0], unsealed_rows(project, parts), opened[1]))
    return found if found.panels else None


def fairness(project: Project, asked: Treated) -> FairnessReport:
    """The report on the opened test rows; made once for these candidates, rows and settings."""
    spec = project.spec.prove
    sets = [load_bias_set(path, project.folder) for path in spec.fairness.sets]
    inputs = {
        "candidates": fingerprint([asked.before.candidate.fingerprint, asked.after.candidate.fingerprint]),
        "rows": fingerprint([content_sha256(asked.rows), content_sha256(asked.unsealed)]),
        "yardstick": yardstick_key(yardstick_of(project, "test", spec.confidence)),
        "spec": fingerprint([spec.fairness.model_dump(mode="json"), spec.slices, asked.confidence, project.metric]),
        "sets": fingerprint([one.sha256 for one in sets]),
    }

    def make() -> FairnessReport:
        started = time.monotonic()
        limits = Limits(spec.fairness.margin, asked.confidence)
        before, after = (one.evaluated(project, asked.rows, "test") for one in (asked.before, asked.after))
        slices = _by_ids(project, asked)
        swapped = list(_swapped(project, asked, limits))
        sides = (asked.before.generator, asked.after.generator)
        biased = [bias_panels(one, sides, limits, project.progress) for one in sets]
        worst, gap = worst_gap(after, project.metric, slices)
        return FairnessReport(
            candidate=asked.after.candidate.name,
            baseline=asked.before.candidate.name,
            panels=(
                *(panel for _, panels in swapped for panel in panels),
                *slice_panels(before, after, project.metric, slices, (spec.slices, limits)),
                *(panel for panels in biased for panel in panels),
            ),
            swaps=tuple(count for count, _ in swapped),
            representation=tuple(representation(asked.unsealed, asked.rows)),
            worst_slice=worst,
            worst_gap=gap,
            unresolved={one.path: one.unresolved for one in sets if one.unresolved},
            seconds=time.monotonic() - started,
        )

    return project.store.once(StepKey(f"fairness-{asked.after.candidate.name}", 1, inputs), FairnessReport, make)


def _by_ids(project: Project, asked: Treated) -> dict[str, tuple[str, ...]]:
    """The slices of the test rows by ids, and with none those that the project file names and only other rows have."""
    columns, wanted = project.spec.data.columns.slice, project.spec.prove.slices
    absent = {name: () for name in slices_of(asked.unsealed, columns) if is_named(name, wanted)}
    return absent | {name: tuple(asked.rows[place].id for place in places) for name, places in slices_of(asked.rows, columns).items()}


def _swapped(project: Project, asked: Treated, limits: Limits) -> Iterator[tuple[SwapCount, list[FairnessPanel]]]:
    yardstick, metric = yardstick_of(project, "test", project.spec.prove.confidence), metric_named(project.metric)
    sides = tuple(Side(one.candidate, one.generator, _afresh(one.generator)) for one in (asked.before, asked.after))
    for category in _categories(project, asked.unsealed):
        pairs = make_twins(category, asked.rows)
        told = project.reporting(f"fairness, {category} exchanged")
        yield pairs.count, counterfactual(pairs, (sides[0], sides[1]), yardstick, metric, (limits, told))


def _afresh(generator: Generator) -> Generator:
    """The same model, asked once more in place of reading what it answered."""
    return generator.afresh() if isinstance(generator, CachedGenerator | WithShots) else generator
