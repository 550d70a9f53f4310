"""A run's champion: what was proven, and where its weights are."""

from __future__ import annotations

from pathlib import Path

from provetune.errors import FolderError
from provetune.records.candidate import Candidate
from provetune.records.evaluation import Evidence
from provetune.serving.loading import ToServe


def candidate_of_run(folder: Path, run: Path) -> tuple[ToServe, str, str]:
    """A run's champion, the project's name, and the decision; a run's `adapter` or `model` folder names it too."""
    run = run.resolve()
    run = run.parent if run.name in ("adapter", "model") and not (run / "evidence.json").exists() else run
    evidence = _evidence(run / "evidence.json")
    candidate = next(one.candidate for one in evidence.evaluations if one.candidate.name == evidence.champion)
    return ToServe(run.name, "", candidate, folder, _weights(candidate, run)), evidence.project, evidence.decision.outcome


def _weights(candidate: Candidate, run: Path) -> Path | None:
    if candidate.kind not in ("adapter", "full"):
        return None
    found = run / ("model" if candidate.kind == "full" else "adapter")
    if not found.is_dir():
        raise FolderError(f"{found}: the champion's weights are gone; `provetune run` makes them again")
    return found


def latest_run(folder: Path) -> Path:
    """The newest run of a project that reached a decision; FolderError where there is none."""
    runs = folder / "runs"
    found = [run for run in (runs / "latest", *sorted(runs.glob("[0-9]*-*"), reverse=True)) if (run / "evidence.json").is_file()]
    if not found:
        raise FolderError(f"{folder}: found no run with a decision and no release, wanted one to serve; `provetune run` makes it")
    return found[0]


def _evidence(file: Path) -> Evidence:
    try:
        return Evidence.from_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FolderError(f"{file.parent}: found no evidence.json, wanted a run with a decision; `provetune run` makes it") from error
    except ValueError as error:
        raise FolderError(f"{file}: is damaged ({error}); `provetune run` writes it again") from error
