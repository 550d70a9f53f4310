"""`watch`: take in what was logged, look at it when a look is due, say what was found. Drift notifies; harm and the clock propose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from provetune.errors import SpecError
from provetune.hashing import fingerprint
from provetune.models.embedding import StaticModel
from provetune.monitoring.clock import anchored
from provetune.monitoring.collect import rows_to_label
from provetune.monitoring.drift import find_drift, permutations_for
from provetune.monitoring.harm import held_out_error, read_harm
from provetune.monitoring.reference import notes_on, read_rows, reference_of
from provetune.monitoring.sample import Sample
from provetune.monitoring.schedule import asks, begun_anew, clock_of, is_due
from provetune.monitoring.settings import Settings
from provetune.monitoring.sources import files_of, identity, new_lines
from provetune.monitoring.state import StateFile
from provetune.monitoring.trigger import propose, reasons_for
from provetune.protocols import Tokenizer
from provetune.records.monitoring import DriftReport, DriftSignal, Found, MonitoringReference, RetrainProposal
from provetune.spec.parts import WatchSpec
from provetune.workflow.look_files import send_notices, write_look


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


def watch(wish: WatchWish, *, force: bool = False) -> Look | None:
    """Take in what is new; look if a look is due (or `force`) and enough has come. None where there was no look."""
    now, spec = wish.now(), wish.spec
    reference, held_out = _held_out(wish)
    state_file = StateFile(wish.state_file)
    try:
        _against(state_file, reference, spec, now)
        for file in files_of(Path(spec.source)):
            name = identity(file)
            state_file.take(name, new_lines(file, state_file.cursor(name)), now)
        send_notices(wish.folder, spec.notify, state_file)
        window = state_file.window()
        if not force and not is_due(state_file.state, spec, len(window.rows), now):
            return None
        found = _look(wish, state_file, (held_out, window), now)
        send_notices(wish.folder, spec.notify, state_file)
        return found
    finally:
        state_file.close()


def evaluated(wish: WatchWish, at: datetime) -> None:
    """Begin anew after an evaluation or a promotion: looks, bets, alpha and clock; what was read stays read."""
    state_file = StateFile(wish.state_file)
    try:
        state_file.save(begun_anew(state_file.state, _held_out(wish)[0], wish.spec, at), next_window=True)
    finally:
        state_file.close()


def _held_out(wish: WatchWish) -> tuple[MonitoringReference, Sample]:
    if wish.spec.reference is None:
        raise SpecError("watch.reference is missing; name a file of rows that were held out of training (text, label, prediction)")
    sample = read_rows(Path(wish.spec.reference))
    return reference_of(Path(wish.spec.reference), sample, wish.release), sample


def _against(state_file: StateFile, reference: MonitoringReference, spec: WatchSpec, now: datetime) -> None:
    """Begin, or begin anew where the reference is another one; mend a date of evaluation that a wrong clock left."""
    state = state_file.state
    if state.reference != reference.fingerprint:
        state_file.save(begun_anew(state, reference, spec, now), next_window=bool(state.reference))
        return
    mended = anchored(state.evaluated_at, now).isoformat(timespec="seconds")
    if mended != state.evaluated_at:
        state_file.save(state.model_copy(update={"evaluated_at": mended}), next_window=False)


def _look(wish: WatchWish, state_file: StateFile, sides: tuple[Sample, Sample], now: datetime) -> Look:
    spec, state = wish.spec, state_file.state
    to_label = rows_to_label(*sides, spec.quality.examples)
    alpha = spec.drift.alpha / spec.drift.looks
    found, sentence, signals = _drift(wish, state.looks + 1, sides, alpha)
    report = DriftReport(
        reference=state.reference,
        release=wish.release,
        look=state.looks + 1,
        of_looks=spec.drift.looks,
        at=now.isoformat(timespec="seconds"),
        alpha=alpha,
        found=found,
        sentence=sentence,
        signals=signals,
        counts={**state.counts, "compared": len(sides[1].rows), **sides[1].left_out},
        harm=None if state.harm is None else read_harm(state.harm, state.weak),
        clock=clock_of(state, spec, now),
        to_label=tuple(row.id or row.text[:80] for row in to_label),
        notes=notes_on(sides[0], "reference"),
    )
    drifting = state.drifting_looks + 1 if found == "drift" else 0 if found != "not comparable" else state.drifting_looks
    state = state.model_copy(update={"drifting_looks": drifting, "moved": state.moved or found == "drift"})
    reasons = reasons_for(report, state, spec.retune_when.drift_weeks, held_out_error(sides[0]))
    proposal = propose(reasons, report, state, spec.retune_when.new_rows, now)
    report = report.model_copy(update={"proposal": "" if proposal is None else proposal.trigger})
    name = f"{fingerprint([state.reference, state.evaluated_at])[:8]}-{report.look:04d}"
    look = Look(report, write_look(wish.folder, name, (report, proposal), to_label), proposal)
    made = {"looks": report.look, "looked_at": report.at, "counts": {}, "asked": asks(state, spec, now)}
    triggers = (*state.triggers, *(() if proposal is None else (proposal.trigger,)))
    unsent = (*state.unsent, *((name,) if look.alarm and spec.notify else ()))
    state_file.save(state.model_copy(update={**made, "triggers": triggers, "unsent": unsent}), next_window=True)
    return look


def _drift(wish: WatchWish, number: int, sides: tuple[Sample, Sample], alpha: float) -> tuple[Found, str, tuple[DriftSignal, ...]]:
    planned = wish.spec.drift.looks
    if number > planned:
        spent = f"Not comparable: the level was spent on {planned} looks; evaluate the model again, which begins a new reference."
        return "not comparable", spent, ()
    embedder = StaticModel(Path(wish.spec.embedding)) if wish.spec.embedding else None
    return find_drift(*sides, alpha, Settings(permutations_for(alpha), embedder=embedder, tokenizer=wish.tokenizer))
