"""A run as it stands now: what its events and records say, its loss curves, the time that is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

from provetune.records.candidate import TrainingRun
from provetune.report.svg import ChartText, Series, line_chart, line_table
from provetune.report.words import duration_text, moment_text
from provetune.studio.reading import events_of, records_of

STEP_WORDS = {
    "audit": "review of the data",
    "split": "split into training, validation and test rows",
    "plan": "plan of memory and time",
    "evaluation": "measuring a candidate",
    "tuning": "training",
    "baseline": "prompts",
    "retention": "what is kept of the base's skills",
}
LAST_EVENTS = 30


@dataclass
class Training:
    """One training of a run: points of its losses, the latest values, whether it is done. Losses in nats per labelled token."""

    name: str
    losses: list[tuple[float, float]] = field(default_factory=list)
    validation: list[tuple[float, float]] = field(default_factory=list)
    scores: list[tuple[float, float]] = field(default_factory=list)
    step: int = 0
    steps: int = 0
    facts: list[tuple[str, str]] = field(default_factory=list)
    best_step: int | None = None
    done: bool = False
    chart: Markup = Markup()
    table: Markup = Markup()

    @property
    def overfits(self) -> bool:
        """Whether validation loss has risen twice in a row above its lowest."""
        values = [loss for _, loss in self.validation]
        return len(values) > 2 and values[-1] > values[-2] > min(values)


@dataclass(frozen=True)
class RunState:
    """`events` are the latest in words, the newest first; `decided` is the outcome, if there is one."""

    name: str
    trainings: tuple[Training, ...]
    events: tuple[tuple[str, str], ...]
    decided: str | None


def run_state(run: Path) -> RunState:
    """Read from the run folder alone: whoever looks, whenever, sees the same."""
    events = list(events_of(run))
    trainings = _from_events(events)
    for record in records_of(run, "tuning", TrainingRun):
        name = Path(record.weights_folder).name
        trainings[name] = _from_record(name, record)
    for place, training in enumerate(trainings.values()):
        _draw(training, place)
    decided = next((str(event["outcome"]) for event in reversed(events) if event.get("event") == "decided"), None)
    told = tuple((moment_text(str(event.get("at", ""))), _words(event)) for event in reversed(events[-LAST_EVENTS:]))
    return RunState(run.name, tuple(trainings.values()), told, decided)


def _from_events(events: Sequence[dict[str, Any]]) -> dict[str, Training]:
    """Every training that began, from its own lines; a resumed one goes on where its checkpoint was."""
    found: dict[str, Training] = {}
    name, first = "", dict[str, Any]()
    for event in events:
        kind, step = event.get("event"), str(event.get("step", ""))
        if kind == "started" and step.startswith(("tuning-", "search-training")):
            name, first = step.removeprefix("tuning-"), {}
            found.setdefault(name, Training(name))
        elif kind in ("training", "validated") and name:
            first = first or (event if kind == "training" else {})
            _add(found[name], event, first)
    return found


def _add(training: Training, event: dict[str, Any], first: dict[str, Any]) -> None:
    step = int(event["step"])
    if event["event"] == "training":
        training.step, training.steps = step, int(event["steps"])
        training.losses = [*(point for point in training.losses if point[0] < step), (float(step), float(event["loss"]))]
        training.facts = _facts(event, first)
    else:
        training.validation = [*(point for point in training.validation if point[0] < step), (float(step), float(event["loss"]))]
        training.scores = [*(point for point in training.scores if point[0] < step), (float(step), float(event["score"]))]


def _facts(event: dict[str, Any], first: dict[str, Any]) -> list[tuple[str, str]]:
    facts = [("loss", f"{event['loss']:.4f}"), ("tokens a second", f"{event.get('tokens_per_s') or 0:,.0f}")]
    if event.get("memory_gib") is not None:
        facts.append(("memory", f"{event['memory_gib']:.1f} GiB"))
    if event.get("usd"):
        facts.append(("cost so far", f"{event['usd']:.2f} US dollars"))
    done, seconds = event["step"] - first["step"], _seconds(first, event)
    left = event["steps"] - event["step"]
    facts.append(("time left", duration_text(seconds / done * left) if done > 0 and left else "unknown" if left else "none"))
    return facts


def _seconds(first: dict[str, Any], last: dict[str, Any]) -> float:
    return (datetime.fromisoformat(last["at"]) - datetime.fromisoformat(first["at"])).total_seconds()


def _from_record(name: str, record: TrainingRun) -> Training:
    facts = [
        ("stopped because", record.stopped_because),
        ("took", duration_text(record.duration_s)),
        ("tokens a second", f"{record.tokens_per_s:,.0f}"),
        ("memory", f"{record.peak_memory_gib:.1f} GiB"),
        ("rows used", f"{record.rows_used:,}"),
    ]
    return Training(
        name,
        [(float(point.step), point.loss) for point in record.losses],
        [(float(point.step), point.loss) for point in record.validation],
        [(float(point.step), point.score) for point in record.validation],
        len(record.losses),
        record.total_steps,
        facts,
        record.best_step,
        done=True,
    )


def _draw(training: Training, place: int) -> None:
    if not training.losses and not training.validation:
        return
    series = [Series("training loss", tuple(training.losses)), Series("validation loss", tuple(training.validation), dots=True)]
    last = f" Last validation loss {training.validation[-1][1]:.3f}." if training.validation else ""
    text = ChartText(f"loss-{place}", f"Loss of {training.name}", f"Lower is better.{last}", "optimizer step", "nats per token")
    shown = [one for one in series if one.points]
    training.chart, training.table = Markup(line_chart(shown, text, training.best_step)), Markup(line_table(shown, text))


def _words(event: dict[str, Any]) -> str:
    kind, step = event.get("event"), str(event.get("step", ""))
    family, _, detail = step.partition("-")
    named = STEP_WORDS.get(family, step.replace("-", " "))
    what = f"{named} ({detail})" if detail and family in STEP_WORDS else named
    if kind == "training":
        return f"{event.get('what')}: step {event['step']:,} of {event['steps']:,}, loss {event['loss']:.3f}"
    if kind == "validated":
        return f"{event.get('what')}: looked at validation at step {event['step']:,}: loss {event['loss']:.3f}, score {event['score']:.3f}"
    words = {"started": "started", "finished": "finished", "reused": "taken from an earlier run"}
    if kind in words:
        return f"{what}: {words[str(kind)]}"
    return f"decided: {event.get('outcome')}" if kind == "decided" else str(kind)
