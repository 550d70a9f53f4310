"""The metric by slice, base beside tuned model, and which groups the rows name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from provetune.evaluation.bias_sets import recount_bias
from provetune.evaluation.compare import compare
from provetune.evaluation.fairness import Limits, blank, recount, status_of
from provetune.records.data import Example
from provetune.records.evaluation import Evaluation
from provetune.records.fairness import FairnessPanel, GroupShare
from provetune.scoring import estimate_of
from provetune.slices import rows_by_group
from provetune.stats.estimate import Estimate
from provetune.stats.proportion import wilson

FEWEST = 30
"""Rows from which a slice takes part in the search for the worst gap."""
SLICES = "slices"


def slices_of(examples: Sequence[Example], columns: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Slice -> places of its rows: `column=value` for the columns of the project file, then the groups of people that prompts name."""
    found: dict[str, list[int]] = {}
    for place, example in enumerate(examples):
        for column in columns:
            if example.meta.get(column):
                found.setdefault(f"{column}={example.meta[column]}", []).append(place)
    named = {f"names {group} ({category})": rows for (category, group), rows in rows_by_group(e.prompt_text for e in examples).items()}
    return {name: tuple(rows) for name, rows in (*sorted(found.items()), *sorted(named.items()))}


def is_named(name: str, wanted: Sequence[str]) -> bool:
    """Whether the project file names the slice, by itself or by its column.

    >>> is_named("region=north", ["region"]), is_named("region=north", ["region=south"])
    (True, False)
    """
    return name in wanted or ("=" in name and name.split("=", 1)[0] in wanted)


def slice_panels(
    before: Evaluation, after: Evaluation, metric: str, slices: Mapping[str, Sequence[str]], asked: tuple[Sequence[str], Limits]
) -> list[FairnessPanel]:
    """The metric of both candidates in each slice (given by example ids); those that the project file names can be judged."""
    wanted, limits = asked
    found = []
    for name, ids in slices.items():
        panel = blank("slice", SLICES, name, metric, limits).model_copy(update={"example_ids": tuple(ids)})
        found.append(one_slice(panel, before, after, limits, named=is_named(name, wanted)))
    return found


def one_slice(panel: FairnessPanel, before: Evaluation, after: Evaluation, limits: Limits, *, named: bool) -> FairnessPanel:
    """The panel of one slice, whose rows and metric it already names; what the project file does not name is only shown."""
    ours, theirs = (rows_of(evaluation, panel.example_ids, panel.measure) for evaluation in (after, before))
    compared = compare(ours, theirs, panel.measure, limits.two_sided)
    d = compared.difference
    harm = d if d.value is None or d.low is None or d.high is None else replace(d, value=-d.value, low=-d.high, high=-d.low)
    rows = compared.wins + compared.ties + compared.losses
    return panel.model_copy(
        update={
            "before": estimate_of(theirs, panel.measure, 0.95),
            "after": estimate_of(ours, panel.measure, 0.95),
            "harm": harm,
            "rows": rows,
            "not_measured": len(panel.example_ids) - rows,
            "status": status_of(harm, limits.margin) if named else "shown",
        }
    )


def rows_of(evaluation: Evaluation, ids: Sequence[str], metric: str) -> Evaluation:
    """The evaluation of these rows alone, in one metric."""
    places = {example_id: place for place, example_id in enumerate(evaluation.example_ids)}
    kept = [places[one] for one in ids]
    return evaluation.model_copy(
        update={
            "example_ids": tuple(ids),
            "group_ids": tuple(evaluation.group_ids[place] for place in kept),
            "observations": {metric: tuple(evaluation.observations[metric][place] for place in kept)},
        }
    )


def worst_gap(after: Evaluation, metric: str, slices: Mapping[str, Sequence[str]]) -> tuple[str, Estimate | None]:
    """The slice of at least 30 rows in which the tuned model is worst against all other rows, and by how much (0 or below).

    The interval joins those of the two parts (Zou and Donner 2008); it is of one slice picked as the worst, so it is no test.
    """
    gaps: list[tuple[float, str, Estimate]] = []
    for name, ids in slices.items():
        mine = set(ids)
        others = [one for one in after.example_ids if one not in mine]
        if min(len(ids), len(others)) >= FEWEST:
            inside, outside = (estimate_of(rows_of(after, part, metric), metric, 0.95) for part in (ids, others))
            gap = independent_difference(inside, outside)
            if gap.value is not None:
                gaps.append((gap.value, name, gap))
    if not gaps:
        return "", None
    _, name, gap = min(gaps, key=lambda row: row[:2])
    return name, gap


def independent_difference(a: Estimate, b: Estimate) -> Estimate:
    """A minus b of two samples that share no rows, from the intervals of both: Zou and Donner (2008), which for Wilson's is Newcombe's.

    >>> str(independent_difference(wilson(56, 70), wilson(48, 80)))
    '0.200 [0.052, 0.334], n=150'
    """
    if a.value is None or a.low is None or a.high is None or b.value is None or b.low is None or b.high is None:
        return Estimate(None, None, None, a.n + b.n, a.confidence, "Zou-Donner")
    d = a.value - b.value
    low, high = d - math.hypot(a.value - a.low, b.high - b.value), d + math.hypot(a.high - a.value, b.value - b.low)
    return Estimate(d, low, high, a.n + b.n, a.confidence, "Zou-Donner")


def representation(train: Sequence[Example], test: Sequence[Example]) -> Iterator[GroupShare]:
    """Each group that a prompt names, with its share of the rows trained on and of the test rows; most frequent first."""
    trained, tested = (rows_by_group(e.prompt_text for e in part) for part in (train, test))
    for group in sorted({*trained, *tested}, key=lambda one: (-len(trained.get(one, ())), one)):
        yield GroupShare(
            category=group[0],
            group=group[1],
            train=wilson(len(trained.get(group, ())), len(train)),
            test=wilson(len(tested.get(group, ())), len(test)),
        )


def again(panel: FairnessPanel, before: Evaluation, after: Evaluation, confidence: float) -> FairnessPanel:
    """The same panel computed once more, from its stored rows or, for a slice, from the two evaluations."""
    limits = Limits(panel.margin, confidence)
    if panel.kind == "slice":
        return one_slice(panel, before, after, limits, named=panel.status != "shown")
    if panel.kind == "bias":
        found = recount_bias(panel, limits)
        return found.model_copy(update={"status": "shown"}) if panel.status == "shown" else found
    return recount(panel, limits)
