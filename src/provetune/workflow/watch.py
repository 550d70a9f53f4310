"""`watch`: take in what was logged, look at it when a look is due, say what was found. Drift notifies; harm and the clock propose."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from provetune.errors import DataError, EndpointError, Notice, SpecError
from provetune.hashing import canonical_json, file_sha256, fingerprint
from provetune.models.embedding import StaticModel
from provetune.monitoring.clock import anchored, read_clock
from provetune.monitoring.collect import rows_to_label
from provetune.monitoring.drift import REFERENCE, find_drift, permutations_for
from provetune.monitoring.events import event_of
from provetune.monitoring.harm import WEAK_TOLERANCE, claim_from, harm_between, held_out_error, read_harm
from provetune.monitoring.notify import notify
from provetune.monitoring.sample import Row, Sample, draw
from provetune.monitoring.settings import FEWEST, Settings
from provetune.monitoring.simulate import Course, simulate
from provetune.monitoring.sources import Cursor, files_of, identity, new_lines
from provetune.monitoring.state import StateFile
from provetune.monitoring.text import MASKS
from provetune.monitoring.trigger import propose, reasons_for
from provetune.protocols import Tokenizer
from provetune.records.monitoring import (
    Bets,
    ClockReading,
    DriftReport,
    DriftSignal,
    Found,
    MonitoringReference,
    MonitorState,
    RetrainProposal,
    WatchSimulation,
)
from provetune.report.drift import render_look
from provetune.spec.parts import WatchSpec
from provetune.store import write_atomic

_UNIT = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@dataclass(frozen=True)
class WatchWish:
    """What is watched, from which folder its state is kept, and what a look may use. `now` is asked for the time."""

    spec: WatchSpec
    folder: Path
    release: str = ""
    tokenizer: Tokenizer | None = None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    @property
    def state_file(self) -> Path:
        """Where the state is kept."""
        return self.folder / "state.sqlite"


@dataclass(frozen=True)
class Look:
    """What a look left: its report, its page, and the proposal it made, if any."""

    report: DriftReport
    page: Path | None = None
    proposal: RetrainProposal | None = None

    @property
    def alarm(self) -> bool:
        """Whether somebody must act."""
        return self.report.found == "drift" or self.proposal is not None or (self.report.harm is not None and self.report.harm.alarm)


def read_rows(path: Path) -> Sample:
    """The distinct texts of a file of rows, drawn by seed. Raises DataError where there is none."""
    now = datetime.now(UTC)
    events = [event_of(line, now) for file in files_of(path) for line, _ in new_lines(file, Cursor()) if line is not None]
    rows = [event.row for event in events if event is not None and event.row.text]
    if not rows:
        raise DataError(f'{path}: found no row with a text, wanted rows like {{"text": ..., "label": ..., "prediction": ...}}')
    return draw(rows)


def compare_files(reference: Path, window: Path, alpha: float, settings: Settings) -> DriftReport:
    """One comparison of two files of rows, without any state."""
    held_out, rows = read_rows(reference), read_rows(window)
    found, sentence, signals = find_drift(held_out, rows, alpha, replace(settings, permutations=permutations_for(alpha)))
    return DriftReport(
        reference=_reference_of(reference, held_out).fingerprint,
        alpha=alpha,
        found=found,
        sentence=sentence,
        signals=signals,
        counts={"requests": len(rows.rows) + sum(rows.left_out.values()), "compared": len(rows.rows), **rows.left_out},
        harm=harm_between(held_out, rows),
        notes=_notes(held_out, "reference"),
    )


def simulate_file(path: Path, course: Course | None = None) -> WatchSimulation:
    """What watching would have noticed had drift been planted into these labelled rows. Raises DataError on too few rows."""
    sample = read_rows(path)
    labelled = [row for row in sample.rows if row.label is not None]
    if len(labelled) < 2 * REFERENCE:
        raise DataError(f"{path}: found {len(labelled)} distinct rows with a label, wanted {2 * REFERENCE} or more to play traffic from")
    return simulate(labelled, course or Course())


def watch(wish: WatchWish, *, force: bool = False) -> Look | None:
    """Take in what is new; look if a look is due (or `force`) and enough has come. None where there was no look."""
    now = wish.now()
    held_out = _held_out(wish)
    state_file = StateFile(wish.state_file)
    try:
        _against(state_file, held_out, wish, now)
        for file in files_of(Path(wish.spec.source)):
            name = identity(file)
            state_file.take(name, new_lines(file, state_file.cursor(name)), now)
        _send(wish, state_file)
        window = state_file.window()
        if not force and not _is_due(state_file.state, wish.spec, len(window.rows), now):
            return None
        found = _look(wish, state_file, (held_out[1], window), now)
        _send(wish, state_file)
        return found
    finally:
        state_file.close()


def evaluated(wish: WatchWish, at: datetime) -> None:
    """Begin anew after an evaluation or a promotion: looks, bets, alpha and clock; what was read stays read."""
    state_file = StateFile(wish.state_file)
    try:
        reference, held_out = _held_out(wish)
        fresh = _fresh(state_file.state, reference, wish.spec, at)
        state_file.save(fresh, next_window=True)
    finally:
        state_file.close()


def _held_out(wish: WatchWish) -> tuple[MonitoringReference, Sample]:
    if wish.spec.reference is None:
        raise SpecError("watch.reference is missing; name a file of rows that were held out of training (text, label, prediction)")
    path = Path(wish.spec.reference)
    sample = read_rows(path)
    return _reference_of(path, sample, wish.release), sample


def _reference_of(path: Path, sample: Sample, release: str = "") -> MonitoringReference:
    return MonitoringReference(
        release=release,
        path=path.name,
        rows_sha256=file_sha256(path) if path.is_file() else fingerprint([[row.text, row.label, row.prediction] for row in sample.rows]),
        rows=len(sample.rows),
        masks=MASKS,
        error=held_out_error(sample),
    )


def _fresh(state: MonitorState, reference: MonitoringReference, spec: WatchSpec, now: datetime) -> MonitorState:
    """The state at the start of a budget; `totals` and triggers stay."""
    claim = None if reference.error is None else claim_from(reference.error, spec.retune_when.quality_drop)
    return state.model_copy(
        update={
            "reference": reference.fingerprint,
            "evaluated_at": now.isoformat(timespec="seconds"),
            "looks": 0,
            "drifting_looks": 0,
            "counts": {},
            "moved": state.moved or state.drifting_looks > 0,
            "harm": None if claim is None else Bets(claim=claim),
            "weak": None if claim is None else Bets(claim=min(0.99, claim + WEAK_TOLERANCE)),
        }
    )


def _against(state_file: StateFile, held_out: tuple[MonitoringReference, Sample], wish: WatchWish, now: datetime) -> None:
    """Begin, or begin anew where the reference is another one; mend a date of evaluation that a wrong clock left."""
    state, reference = state_file.state, held_out[0]
    if state.reference != reference.fingerprint:
        state_file.save(_fresh(state, reference, wish.spec, now), next_window=bool(state.reference))
        return
    mended = anchored(state.evaluated_at, now).isoformat(timespec="seconds")
    if mended != state.evaluated_at:
        state_file.save(state.model_copy(update={"evaluated_at": mended}), next_window=False)


def _is_due(state: MonitorState, spec: WatchSpec, rows: int, now: datetime) -> bool:
    every = int(spec.quality.every[:-1]) * _UNIT[spec.quality.every[-1]]
    before = datetime.fromisoformat(state.looked_at) if state.looked_at else None
    waited = before is None or not before <= now < before + every  # a clock that was set back must not stop the looks
    alarm = state.harm is not None and read_harm(state.harm).alarm
    return (waited and rows >= FEWEST) or alarm or _clock(state, spec, now).is_due


def _clock(state: MonitorState, spec: WatchSpec, now: datetime) -> ClockReading:
    return read_clock(anchored(state.evaluated_at, now), now, spec.retune_when.age_months, state.moved or state.drifting_looks > 0)


def _look(wish: WatchWish, state_file: StateFile, sides: tuple[Sample, Sample], now: datetime) -> Look:
    spec, state = wish.spec, state_file.state
    number, planned = state.looks + 1, spec.drift.looks
    alpha = spec.drift.alpha / planned
    embedder = StaticModel(Path(spec.embedding)) if spec.embedding else None
    settings = Settings(permutations_for(alpha), embedder=embedder, tokenizer=wish.tokenizer)
    if number > planned:
        spent = f"Not comparable: the level was spent on {planned} looks; evaluate the model again, which begins a new reference."
        verdict: tuple[Found, str, tuple[DriftSignal, ...]] = ("not comparable", spent, ())
    else:
        verdict = find_drift(*sides, alpha, settings)
    found, sentence, signals = verdict
    to_label = rows_to_label(*sides, spec.quality.examples)
    report = DriftReport(
        reference=state.reference,
        release=wish.release,
        look=number,
        of_looks=planned,
        at=now.isoformat(timespec="seconds"),
        alpha=alpha,
        found=found,
        sentence=sentence,
        signals=signals,
        counts={**state.counts, "compared": len(sides[1].rows), **sides[1].left_out},
        harm=None if state.harm is None else read_harm(state.harm, state.weak),
        clock=_clock(state, spec, now),
        to_label=tuple(row.id or row.text[:80] for row in to_label),
        notes=_notes(sides[0], "reference"),
    )
    drifting = state.drifting_looks + 1 if found == "drift" else 0 if found != "not comparable" else state.drifting_looks
    state = state.model_copy(update={"drifting_looks": drifting, "moved": state.moved or found == "drift"})
    error = held_out_error(sides[0])
    reasons = reasons_for(report, state, spec.retune_when.drift_weeks, error)
    proposal = propose(reasons, report, state, spec.retune_when.new_rows, now)
    report = report.model_copy(update={"proposal": "" if proposal is None else proposal.fingerprint})
    name = f"{fingerprint([state.reference, state.evaluated_at])[:8]}-{number:04d}"
    page = _write(wish, (report, proposal), name, to_label)
    look = Look(report, page, proposal)
    state_file.save(
        state.model_copy(
            update={
                "looks": number,
                "looked_at": report.at,
                "counts": {},
                "triggers": (*state.triggers, *(() if proposal is None else (proposal.trigger,))),
                "unsent": (*state.unsent, *((name,) if look.alarm and spec.notify else ())),
            }
        ),
        next_window=True,
    )
    return look


def _write(wish: WatchWish, found: tuple[DriftReport, RetrainProposal | None], name: str, to_label: list[Row]) -> Path:
    """The look's record, page, proposal and rows to label; repeated after a kill, they are the same files again."""
    report, proposal = found
    record = wish.folder / "looks" / f"{name}.json"
    write_atomic(record.with_suffix(".html"), render_look(report, proposal))
    write_atomic(record, report.to_json())
    if proposal is not None:
        write_atomic(wish.folder / "proposals" / f"{proposal.trigger}.json", proposal.to_json())
    if to_label:
        rows = [{"id": row.id or fingerprint(row.text), "prompt": row.text, "prediction": row.prediction} for row in to_label]
        write_atomic(wish.folder / "to-label.jsonl", "".join(canonical_json(row) + "\n" for row in rows))
    return record.with_suffix(".html")


def _send(wish: WatchWish, state_file: StateFile) -> None:
    """Send what has not gone out; a notice that is not taken is kept, so that each arrives once or more."""
    for name in state_file.state.unsent:
        record = wish.folder / "looks" / f"{name}.json"
        report = DriftReport.from_json(record.read_text(encoding="utf-8"))
        try:
            for target in wish.spec.notify:
                notify(target, report, str(record.with_suffix(".html")))
        except EndpointError as error:
            warnings.warn(str(error), Notice, stacklevel=2)
            return
        left = tuple(one for one in state_file.state.unsent if one != name)
        state_file.save(state_file.state.model_copy(update={"unsent": left}), next_window=False)


def _notes(sample: Sample, side: str) -> tuple[str, ...]:
    return tuple(f"{count:,} {side} rows left out: {reason}" for reason, count in sorted(sample.left_out.items()))
