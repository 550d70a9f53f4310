"""The one predict-and-score loop: every candidate, on any part, by the same metrics."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from provetune.chat import prompt_messages
from provetune.hashing import seed_of
from provetune.metrics import FOR_TASK, METRICS
from provetune.metrics.base import FloatArray, Metric
from provetune.metrics.classification import parse_label
from provetune.protocols import Generator, Progress
from provetune.records.candidate import Candidate
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
    """What completions are measured by: the task's metrics, its labels, the part, the confidence of the intervals."""

    task: str
    labels: tuple[str, ...]
    part: Part
    confidence: float = 0.95


def measure_of(metric: Metric) -> Measure:
    """The statistics that belong to a metric."""
    return Measure(metric.kind, metric.aggregate, metric.bounds)


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
    return one_value(measure_of(METRICS[metric]), observations, groups, Resampling(seed_of("one value", metric), confidence))


def measure(
    candidate: Candidate, generator: Generator, examples: Sequence[Example], yardstick: Yardstick, progress: Progress
) -> tuple[Evaluation, list[Prediction]]:
    """Let `candidate` complete every example and score it. A bad completion scores 0; none at all is not measured.

    The returned evaluation has no predictions file yet; who stores the predictions fills it in.
    """
    started = time.monotonic()
    prompts = [prompt_messages(candidate.prompt, example) for example in examples]
    completions = generator.generate(prompts, candidate.generation, progress)
    predictions = [
        Prediction(example_id=example.id, text=c.text, completion_tokens=c.completion_tokens, stopped=c.stopped, error=c.error)
        for example, c in zip(examples, completions, strict=True)
    ]
    names = FOR_TASK[yardstick.task]
    observed = {
        name: tuple(
            None if p.text is None else METRICS[name].observe(example.target, p.text, yardstick.labels)
            for example, p in zip(examples, predictions, strict=True)
        )
        for name in names
    }
    texts = [p.text for p in predictions if p.text is not None]
    usable = sum(parse_label(text, yardstick.labels) is not None if yardstick.labels else bool(text.strip()) for text in texts)
    evaluation = Evaluation(
        candidate=candidate,
        part=yardstick.part,
        example_ids=tuple(example.id for example in examples),
        group_ids=tuple(example.group or example.id for example in examples),
        metrics={name: f"{name}/{METRICS[name].version}" for name in names},
        observations=observed,
        summary={},
        parsed=wilson(usable, len(texts)),
        not_measured=len(examples) - len(texts),
        predictions_file="",
        seconds=time.monotonic() - started,
        prompt_tokens=sum(c.prompt_tokens for c in completions),
        completion_tokens=sum(c.completion_tokens for c in completions),
    )
    summary = {name: estimate_of(evaluation, name, yardstick.confidence) for name in names}
    return evaluation.model_copy(update={"summary": summary}), predictions
