"""Predictions that another tool made, as evaluations: paired by id, scored as those of any candidate."""

from __future__ import annotations

from provetune.errors import DataError, SpecError
from provetune.formats.predictions import PredictionFile, Recorded
from provetune.formats.text import did_you_mean, listed, quoted
from provetune.hashing import file_sha256, seed_of
from provetune.metrics import METRICS
from provetune.metrics.base import Metric, Row, weighted_mean
from provetune.records.candidate import Candidate, GenerationSettings, Prompt
from provetune.records.evaluation import Evaluation
from provetune.records.paired import ComparedFile
from provetune.scoring import group_numbers, measure_of, observation_array
from provetune.stats.difference import one_value
from provetune.stats.estimate import Estimate
from provetune.stats.units import Resampling

_KNOWN_HERE = frozenset({"labels", "json"})


def shared_ids(a: PredictionFile, b: PredictionFile, *, allowed: bool) -> list[str]:
    """Ids of both files, in the order of the first."""
    for one, other in ((a, b), (b, a)):
        alone = [name for name in one.rows if name not in other.rows]
        if alone and not allowed:
            raise DataError(
                f"{one.where(alone[0])}: id {quoted(alone[0])} is missing in {other.path}, and so are {len(alone) - 1:,} more; a paired "
                "comparison needs the same examples. Add the rows (prediction null where none came), or leave them out with --shared"
            )
    ids = [name for name in a.rows if name in b.rows]
    if not ids:
        raise DataError(f"{a.path}: no id of it is in {b.path}; wanted predictions for the same examples")
    return ids


def check_same(name: str, a: PredictionFile, b: PredictionFile) -> None:
    """Raise DataError where an id has other targets or another group in the other file."""
    ours, theirs = a.rows[name], b.rows[name]
    if ours.targets != theirs.targets and ours.targets and theirs.targets:
        raise DataError(f"{a.where(name)}: another target than {b.where(name)} for id {quoted(name)}; wanted the same examples in both")
    if ours.group != theirs.group:
        raise DataError(f"{a.where(name)}: group {ours.group!r}, but {theirs.group!r} at {b.where(name)}, for id {quoted(name)}")


def recorded_metric(name: str | None, files: tuple[PredictionFile, PredictionFile], ids: list[str]) -> Metric:
    """The metric by its name; the given scores where none is named."""
    rows = [file.rows[one] for file in files for one in ids]
    if name is None or name == "score":
        scores = [row.score for row in rows if row.score is not None]
        wrong = next((row for row in rows if row.score is not None and not 0 <= row.score <= 1), None)
        if wrong is not None:
            file = next(file for file in files if wrong in file.rows.values())
            raise DataError(
                f"{file.where(wrong.id)}: the score is {wrong.score:g}, wanted 0 to 1; divide all scores by the largest possible one"
            )
        if not scores:
            raise SpecError(f"{files[0].path}: no row has a score; name a metric, such as --metric exact_match")
        return Metric("score", 1, "binary" if set(scores) <= {0.0, 1.0} else "mean", lambda row: None, weighted_mean)
    if name not in METRICS:
        raise SpecError(f"found metric {name!r}, wanted score or one of {listed(METRICS)}{did_you_mean(name, METRICS)}")
    lacking = METRICS[name].needs - _KNOWN_HERE
    if lacking:
        raise SpecError(
            f"metric {name} needs {listed(sorted(lacking))}, which a file of predictions does not hold; put its values under 'score'"
        )
    return METRICS[name]


def recorded_evaluation(file: PredictionFile, ids: list[str], metric: Metric, first: PredictionFile) -> Evaluation:
    """The file's predictions, scored as those of any candidate; the candidate's name is the file's path."""
    labels = sorted({text for name in ids for text in _targets(name, file, first)}) if "labels" in metric.needs else []

    def observed(row: Recorded) -> tuple[float, ...] | None:
        if metric.name == "score":
            return None if row.score is None else (row.score,)
        targets = _targets(row.id, file, first)
        if not targets:
            raise DataError(f"{file.where(row.id)}: has no target, which metric {metric.name} needs")
        if row.prediction is None:
            return None
        return metric.observe(Row(target=targets[0], completion=row.prediction, labels=labels, references=targets[1:]))

    rows = [file.rows[name] for name in ids]
    observations = tuple(observed(row) for row in rows)
    missing = sum(one is None for one in observations)
    return Evaluation(
        candidate=Candidate(name=str(file.path), kind="recorded", prompt=Prompt(strategy="plain"), generation=GenerationSettings()),
        part="test",
        example_ids=tuple(ids),
        group_ids=tuple(row.id if row.group is None else f"group {row.group}" for row in rows),
        metrics={metric.name: f"{metric.name}/{metric.version}"},
        observations={metric.name: observations},
        summary={},
        parsed=Estimate(None, None, None, 0, 0.95, "not looked at"),
        not_measured=missing,
        predictions_file=str(file.path),
        seconds=0.0,
        prompt_tokens=0,
        completion_tokens=0,
    )


def _targets(name: str, file: PredictionFile, first: PredictionFile) -> tuple[str, ...]:
    """Those of the row, or of the other file's where it has none."""
    return file.rows[name].targets or first.rows[name].targets


def compared_side(file: PredictionFile, measured: Evaluation, metric: Metric, confidence: float) -> ComparedFile:
    """One side of the verdict: the file, its rows, its value with an interval."""
    kept = [(row, group) for row, group in zip(measured.observations[metric.name], measured.group_ids, strict=True) if row is not None]
    resampling = Resampling(seed_of("one value", metric.name), confidence)
    value = one_value(
        measure_of(metric), observation_array([row for row, _ in kept]), group_numbers([group for _, group in kept]), resampling
    )
    return ComparedFile(
        path=str(file.path),
        sha256=file_sha256(file.path),
        rows=len(file.rows),
        only_here=len(file.rows) - len(measured.example_ids),
        not_measured=measured.not_measured,
        long=file.long,
        value=value,
    )


def notes_of(files: tuple[PredictionFile, PredictionFile], ids: list[str]) -> tuple[str, ...]:
    """What a reader of the verdict should know of the files, one sentence each."""
    notes = []
    for file in files:
        left_out = len(file.rows) - len(ids)
        notes += [f"{file.path}: {left_out:,} rows are in this file only and were left out"] if left_out else []
        notes += [f"{file.path}: {file.not_measured:,} rows have no prediction"] if file.not_measured else []
        notes += [f"{file.path}: {file.long:,} predictions have more than 100,000 characters"] if file.long else []
        notes += [f"{file.path}: keys that were not used: {listed(file.other_keys)}"] if file.other_keys else []
    return tuple(notes)
