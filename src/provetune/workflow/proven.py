"""The latest decision of a project, computed again, with the candidate that it is about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from provetune.errors import FolderError, SpecError
from provetune.hashing import file_sha256
from provetune.records.candidate import Candidate
from provetune.records.data import Split
from provetune.records.evaluation import Decision, Evaluation, Evidence
from provetune.records.provenance import Provenance
from provetune.registry import Waived
from provetune.workflow.verify import verify

R = TypeVar("R", Split, Provenance)


@dataclass(frozen=True)
class Proven:
    """The latest decision of a project: its run, evidence, and the candidate that it is about."""

    run: Path
    evidence: Evidence
    evidence_file: Path
    decision: Decision
    candidate: Candidate
    on_test: Evaluation

    @property
    def waived(self) -> Waived:
        """What a waiver of it is about."""
        return Waived(self.candidate.fingerprint, self.decision.fingerprint, file_sha256(self.evidence_file), self.decision.outcome)


def latest_proven(folder: Path) -> Proven:
    """The newest run with a decision, its evidence computed again. FolderError without one, SpecError where nothing was tuned."""
    runs = folder / "runs"
    found = [run for run in (runs / "latest", *sorted(runs.glob("[0-9]*-*"), reverse=True)) if (run / "evidence.json").is_file()]
    if not found:
        raise FolderError(f"{folder}: found no run with a decision, wanted one; `provetune run` makes it")
    run = found[0].resolve()
    evidence, decision = verify(run / "evidence.json")
    if evidence.folds is not None:
        raise SpecError(
            f"{run}: what is proven is a recipe over {evidence.folds.folds} folds, not one set of weights, and only proven weights ship; "
            "prove weights with a test split (prove.folds: 0)"
        )
    champion = next((e for e in evidence.evaluations if e.part == "test" and e.candidate.name == evidence.champion), None)
    if champion is None or champion.candidate.weights_folder is None:
        raise SpecError(
            f"{run}: the candidate is {evidence.champion}, which has no weights of its own, wanted a tuned one; nothing is to ship"
        )
    return Proven(run, evidence, run / "evidence.json", decision, champion.candidate, champion)


def record_of(proven: Proven, kind: type[R]) -> R:
    """The record of this kind that the evidence names; FolderError where it is gone."""
    name = kind.SCHEMA.partition("/")[0]
    for file in sorted((proven.run / "records").glob(f"{name}-*.json")):
        found = kind.from_json(file.read_text(encoding="utf-8"))
        if found.fingerprint == proven.evidence.records[name]:
            return found
    raise FolderError(f"{proven.run / 'records'}: the {name} record of this decision is missing; `provetune prove` writes it again")
