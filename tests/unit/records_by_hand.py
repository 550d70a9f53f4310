"""Examples, candidates and evaluations made by hand for the tests of scoring, comparing and judging."""

from __future__ import annotations

from collections.abc import Sequence

from provetune.models.scripted import ScriptedGenerator
from provetune.records.candidate import Candidate, CandidateKind, GenerationSettings, Prompt
from provetune.records.data import Example, Message
from provetune.records.evaluation import Comparison, Evaluation, Part, Prediction
from provetune.scoring import Yardstick, measure
from provetune.stats.estimate import Estimate

LABELS = ("billing", "delivery", "refund")


def examples_of(labels: Sequence[str], groups: Sequence[str | None] | None = None) -> list[Example]:
    """One row per label; row k asks `question k`."""
    return [
        Example(
            id=f"r{k}",
            messages=(Message(role="user", content=f"question {k}"), Message(role="assistant", content=label)),
            label=label,
            group=None if groups is None else groups[k],
            source=f"rows.csv:{k + 2}",
        )
        for k, label in enumerate(labels)
    ]


def candidate_of(name: str, kind: CandidateKind = "prompt") -> Candidate:
    """A candidate with the plain prompt."""
    return Candidate(name=name, kind=kind, prompt=Prompt(strategy="plain"), generation=GenerationSettings())


def measured(
    name: str, completions: Sequence[str | None], examples: Sequence[Example], *, part: Part = "test", labels: tuple[str, ...] = LABELS
) -> tuple[Evaluation, list[Prediction]]:
    """What `measure` makes of a script; None where the script has nothing for a row."""
    script = {f"question {k}": text for k, text in enumerate(completions) if text is not None}
    return measure(candidate_of(name), ScriptedGenerator(script), examples, Yardstick("classify", labels, part), lambda *_: None)


def evaluation_of(
    name: str, rows: int = 100, not_measured: int = 0, summary: dict[str, tuple[float, float, float]] | None = None
) -> Evaluation:
    """An evaluation of which only the number of rows and the (value, low, high) of each metric count."""
    ids = tuple(f"r{k}" for k in range(rows))
    return Evaluation(
        candidate=candidate_of(name),
        part="test",
        example_ids=ids,
        group_ids=ids,
        metrics={},
        observations={},
        summary={metric: Estimate(*numbers, rows, 0.95, "by hand") for metric, numbers in (summary or {}).items()},
        parsed=Estimate(1.0, 0.9, 1.0, rows, 0.95, "by hand"),
        not_measured=not_measured,
        predictions_file="",
        seconds=0.0,
        prompt_tokens=0,
        completion_tokens=0,
    )


def comparison_of(
    baseline: str, difference: tuple[float | None, float | None, float | None], rows: int = 100, wins: int = 20
) -> Comparison:
    """A paired difference as (value, low, high) over `rows` rows."""
    return Comparison(
        candidate="tuned",
        baseline=baseline,
        metric="accuracy",
        difference=Estimate(*difference, rows, 0.95, "by hand"),
        p_value=None,
        p_method="by hand",
        wins=wins,
        ties=rows - wins,
        losses=0,
    )
