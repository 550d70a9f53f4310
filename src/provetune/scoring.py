"""The one predict-and-score loop: every candidate, on any part, by the same metrics."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from provetune.chat import answer_of
from provetune.hashing import seed_of
from provetune.metrics import measured_by, metric_named
from provetune.metrics.base import FloatArray, Metric, Row
from provetune.metrics.classification import parse_label
from provetune.metrics.semantic import WordVectors, similarities
from provetune.models.asking import Asked, ask, target_likelihoods
from provetune.protocols import Completion, Generator, Likelihoods, Progress
from provetune.records.candidate import Candidate, Prompt
from provetune.records.data import Example
from provetune.records.evaluation import Evaluation, Part, Prediction
from provetune.stats.difference import one_value
from provetune.stats.estimate import Estimate
from provetune.stats.measure import Measure
from provetune.stats.proportion import wilson
from provetune.stats.units import Resampling

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Yardstick:
    """What completions are measured by: the task's metrics, its labels, the part, the confidence of the intervals.

    `schema` is the task's JSON Schema as text; `further` are metrics that are measured beside those of the task; `words` are the
    vectors that `semantic_similarity` compares.
    """

    task: str
    labels: tuple[str, ...]
    part: Part
    confidence: float = 0.95
    schema: str | None = None
    further: tuple[Metric, ...] = ()
    words: WordVectors | None = None


def measure_of(metric: Metric) -> Measure:
    """The statistics that belong to a metric."""
    return Measure(metric.kind, metric.aggregate, metric.bounds)


def row_of(example: Example, completion: str, yardstick: Yardstick) -> Row:
    """What the metrics see of one completion; other right texts stand in the row's `references`, a list of texts."""
    given = example.extra.get("references")
    references = [text for text in given if isinstance(text, str)] if isinstance(given, list) else []
    return Row(
        target=example.target,
        completion=completion,
        labels=yardstick.labels,
        references=references,
        prompt="\n".join(turn.text for turn in example.prompt_messages),
        schema=yardstick.schema,
        meta={**example.extra, **example.meta},
    )


def group_numbers(group_ids: Sequence[str]) -> IntArray | None:
    """Groups as numbers, or None where every row is its own group."""
    if len(set(group_ids)) == len(group_ids):
        return None
    order = {name: number for number, name in enumerate(sorted(set(group_ids)))}
    return np.array([order[name] for name in group_ids], dtype=np.int64)


def observation_array(rows: Sequence[tuple[float, ...]]) -> FloatArray:
    """Rows of numbers as `[n, k]`; `[0, 2]` where nothing was measured."""
    return np.array(rows, dtype=float) if rows else np.zeros((0, 2))


def estimate_of(evaluation: Evaluation, metric: str, confidence: float) -> Estimate:
    """The metric's value over the measured rows of an evaluation, with its interval."""
    rows = evaluation.observations[metric]
    kept = [place for place, row in enumerate(rows) if row is not None]
    observations = observation_array([row for row in rows if row is not None])
    groups = group_numbers([evaluation.group_ids[place] for place in kept])
    return one_value(measure_of(metric_named(metric)), observations, groups, Resampling(seed_of("one value", metric), confidence))


def measure(
    candidate: Candidate, generator: Generator, examples: Sequence[Example], yardstick: Yardstick, progress: Progress
) -> tuple[Evaluation, list[Prediction]]:
    """Let `candidate` complete every example and score it. A bad completion scores 0; none at all is not measured.

    The returned evaluation has no predictions file yet; who stores the predictions fills it in.
    """
    started = time.monotonic()
    asked = ask(candidate, generator, examples, progress)
    predictions = [_prediction(*row) for row in zip(examples, asked.completions, asked.shots, strict=True)]
    answers = [_answer(candidate.prompt, p, yardstick) for p in predictions]
    rows = _rows(asked, examples, answers, yardstick)
    if any("loglikelihood" in metric.needs for metric in yardstick.further):
        rows = _with_likelihoods(rows, target_likelihoods(candidate, generator, examples, progress))
    metrics = measured_by(yardstick.task, rows, yardstick.further)
    observed = {
        metric.name: tuple(None if answer is None else metric.observe(row) for row, answer in zip(rows, answers, strict=True))
        for metric in metrics
    }
    texts = [answer for answer in answers if answer is not None]
    usable = sum(parse_label(text, yardstick.labels) is not None if yardstick.labels else bool(text.strip()) for text in texts)
    similar = candidate.prompt.similar
    evaluation = Evaluation(
        candidate=candidate,
        part=yardstick.part,
        example_ids=tuple(example.id for example in examples),
        group_ids=tuple(example.group or example.id for example in examples),
        metrics={m.name: f"{m.name}/{m.version} {m.signature(rows)}".rstrip() for m in metrics},
        observations=observed,
        summary={},
        parsed=wilson(usable, len(texts)),
        not_measured=len(examples) - len(texts),
        predictions_file="",
        seconds=time.monotonic() - started,
        prompt_tokens=sum(c.prompt_tokens for c in asked.completions),
        completion_tokens=sum(c.completion_tokens for c in asked.completions),
        label_prior=asked.prior,
        kept=sum(c.kept for c in asked.completions),
        shots_left_out=0 if similar is None else sum(similar.k - len(shots) for shots in asked.shots),
    )
    summary = {name: estimate_of(evaluation, name, yardstick.confidence) for name in observed}
    return evaluation.model_copy(update={"summary": summary}), predictions


def _prediction(example: Example, c: Completion, shots: Sequence[Example]) -> Prediction:
    ids = tuple(shot.id for shot in shots)
    tokens = c.completion_tokens
    return Prediction(example_id=example.id, text=c.text, completion_tokens=tokens, stopped=c.stopped, error=c.error, shot_ids=ids)


def _answer(prompt: Prompt, prediction: Prediction, yardstick: Yardstick) -> str | None:
    """What is measured of a completion: nothing (so 0) where the prompt's answer marker is missing; None where nothing came back."""
    if prediction.text is None:
        return None
    return answer_of(prompt, prediction.text, one_line=bool(yardstick.labels)) or ""


def _rows(asked: Asked, examples: Sequence[Example], answers: Sequence[str | None], yardstick: Yardstick) -> list[Row]:
    rows = [row_of(example, answer or "", yardstick) for example, answer in zip(examples, answers, strict=True)]
    if yardstick.words is not None:
        alike = similarities([row.target for row in rows], [row.completion for row in rows], yardstick.words)
        rows = [replace(row, similarity=likeness) for row, likeness in zip(rows, alike, strict=True)]
    return [replace(row, probabilities=chances) if chances else row for row, chances in zip(rows, asked.probabilities, strict=True)]


def _with_likelihoods(rows: Sequence[Row], found: Sequence[Likelihoods]) -> list[Row]:
    nats = [None if one.nats is None else max(0.0, -one.nats[0]) for one in found]
    return [replace(row, nats=own, tokens=one.tokens[0]) for row, own, one in zip(rows, nats, found, strict=True)]
