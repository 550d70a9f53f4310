"""Where the champion goes wrong, and what it mended or broke against the best prompt."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from provetune.metrics import metric_named
from provetune.metrics.classification import parse_label
from provetune.records.evaluation import Evaluation
from provetune.report.inputs import ReportInputs, best_prompt, champion_evaluation, deciding_metric
from provetune.report.words import shorten

NO_LABEL = "(none of the labels)"
_NAME_LENGTH = 60


@dataclass(frozen=True)
class Confusion:
    """How often rows of one label were called another."""

    true: str
    named: str
    count: int


@dataclass(frozen=True)
class ChangedExample:
    """One test row on which champion and best prompt differ; texts already shortened."""

    example_id: str
    prompt: str
    target: str
    champion: str
    baseline: str


@dataclass(frozen=True)
class Mistakes:
    """Errors of the champion. `wrong` counts all errors, `confusions` lists the commonest pairs; `baseline` is '' where there is none."""

    confusions: tuple[Confusion, ...]
    wrong: int
    pairs: int
    baseline: str
    metric: str
    fixed: tuple[ChangedExample, ...]
    broken: tuple[ChangedExample, ...]
    fixed_count: int
    broken_count: int


def find_mistakes(inputs: ReportInputs, *, shown: int = 10, text_limit: int = 400, pairs: int = 15) -> Mistakes:
    """Count confusions and list up to `shown` fixed and broken rows, largest change first, then by id."""
    counts = _confusions(inputs)
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:pairs]
    confusions = tuple(Confusion(shorten(true, _NAME_LENGTH), shorten(named, _NAME_LENGTH), count) for (true, named), count in most)
    champion, baseline = champion_evaluation(inputs.evidence), best_prompt(inputs.evidence)
    metric = None if champion is None or baseline is None else _row_metric(champion, baseline, deciding_metric(inputs.evidence))
    fixed: list[str] = []
    broken: list[str] = []
    if champion is not None and baseline is not None and metric is not None:
        ours, theirs = _scores(champion, metric), _scores(baseline, metric)
        gains = {key: ours[key] - theirs[key] for key in ours if key in theirs and ours[key] != theirs[key]}
        ranked = sorted(gains, key=lambda key: (-abs(gains[key]), key))
        fixed = [key for key in ranked if gains[key] > 0]
        broken = [key for key in ranked if gains[key] < 0]
    name = baseline.candidate.name if baseline is not None else ""
    return Mistakes(
        confusions=confusions,
        wrong=counts.total(),
        pairs=len(counts),
        baseline=name,
        metric=metric or "",
        fixed=tuple(_changed(inputs, key, name, text_limit) for key in fixed[:shown]),
        broken=tuple(_changed(inputs, key, name, text_limit) for key in broken[:shown]),
        fixed_count=len(fixed),
        broken_count=len(broken),
    )


def _confusions(inputs: ReportInputs) -> Counter[tuple[str, str]]:
    labels = inputs.evidence.labels
    counts: Counter[tuple[str, str]] = Counter()
    for example_id, text in inputs.predictions.get(inputs.evidence.champion, {}).items():
        example = inputs.examples.get(example_id)
        if not labels or example is None or example.label is None or text is None:
            continue
        named = parse_label(text, labels)
        if named != example.label:
            counts[example.label, NO_LABEL if named is None else named] += 1
    return counts


def _row_metric(champion: Evaluation, baseline: Evaluation, deciding: str) -> str | None:
    """The first metric with a score per row in both evaluations; macro F1, for one, has no score of a single row."""
    for metric in (deciding, "accuracy", "exact_match", "rouge_l"):
        rows = [row for e in (champion, baseline) for row in e.observations.get(metric, ()) if row is not None]
        if rows and metric_named(metric).kind != "corpus" and all(metric in e.observations for e in (champion, baseline)):
            return metric
    return None


def _scores(evaluation: Evaluation, metric: str) -> dict[str, float]:
    rows = zip(evaluation.example_ids, evaluation.observations[metric], strict=True)
    return {example_id: row[0] for example_id, row in rows if row is not None}


def _changed(inputs: ReportInputs, example_id: str, baseline: str, limit: int) -> ChangedExample:
    example = inputs.examples.get(example_id)

    def written(candidate: str) -> str:
        text = inputs.predictions.get(candidate, {}).get(example_id)
        return "(the text was not kept)" if text is None else shorten(text, limit) or "(nothing was written)"

    return ChangedExample(
        example_id=shorten(example_id, _NAME_LENGTH),
        prompt="(the row was not kept)" if example is None else shorten(example.prompt_text, limit),
        target="" if example is None else shorten(example.target, limit),
        champion=written(inputs.evidence.champion),
        baseline=written(baseline),
    )
