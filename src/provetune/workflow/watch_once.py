"""Watching without a state: two files compared once, and months of traffic played from one file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from provetune.errors import DataError
from provetune.monitoring.drift import REFERENCE, find_drift, permutations_for
from provetune.monitoring.harm import harm_between
from provetune.monitoring.reference import notes_on, read_rows, reference_of
from provetune.monitoring.settings import Settings
from provetune.monitoring.simulate import Course, simulate
from provetune.records.monitoring import DriftReport, WatchSimulation


def compare_windows(reference: Path, window: Path, alpha: float, settings: Settings | None = None) -> DriftReport:
    """One comparison of two files of rows."""
    held_out, rows = read_rows(reference), read_rows(window)
    chosen = replace(settings or Settings(), permutations=permutations_for(alpha))
    found, sentence, signals = find_drift(held_out, rows, alpha, chosen)
    return DriftReport(
        reference=reference_of(reference, held_out).fingerprint,
        alpha=alpha,
        found=found,
        sentence=sentence,
        signals=signals,
        counts={"requests": len(rows.rows) + sum(rows.left_out.values()), "compared": len(rows.rows), **rows.left_out},
        harm=harm_between(held_out, rows),
        notes=notes_on(held_out, "reference"),
    )


def simulate_file(path: Path, course: Course | None = None) -> WatchSimulation:
    """What watching would have noticed had drift been planted into these labelled rows. Raises DataError on too few rows."""
    labelled = [row for row in read_rows(path).rows if row.label is not None]
    if len(labelled) < 2 * REFERENCE:
        raise DataError(f"{path}: found {len(labelled)} distinct rows with a label, wanted {2 * REFERENCE} or more to play traffic from")
    return simulate(labelled, course or Course())
