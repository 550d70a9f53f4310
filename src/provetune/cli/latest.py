"""The latest run that reached a decision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from provetune.errors import FolderError
from provetune.records.evaluation import DecisionOutcome
from provetune.workflow.verify import read_evidence


def latest_report(folder: Path, rebuild: Callable[[Path], Path]) -> tuple[Path, Path, DecisionOutcome]:
    """(report, evidence, outcome) of the newest run with evidence; FolderError where none has any.

    A report that is gone is written again by `rebuild`, which gets the run folder.
    """
    runs = folder / "runs"
    found = [run for run in (runs / "latest", *sorted(runs.glob("[0-9]*-*"), reverse=True)) if (run / "evidence.json").is_file()]
    if not found:
        raise FolderError(f"{folder}: found no run with a decision, wanted one; `provetune run` makes it")
    run = found[0].resolve()
    outcome = read_evidence(run / "evidence.json").decision.outcome
    report = run / "report.html"
    return report if report.is_file() else rebuild(run), run / "evidence.json", outcome
