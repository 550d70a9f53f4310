"""Blind votes on the candidates of a proof, as `provetune vote` left them in the project."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from provetune.records.blind_votes import VoteReport
from provetune.records.evaluation import Evaluation

REPORT = "blind-votes.json"


def stored_votes(folder: Path, on_test: Sequence[Evaluation]) -> VoteReport | None:
    """The votes on two candidates of this very proof, those with most votes; None where there are none."""
    known = {e.candidate.fingerprint for e in on_test}
    reports = [VoteReport.from_json(file.read_text(encoding="utf-8")) for file in sorted((folder / "votes").glob(f"*/{REPORT}"))]
    fitting = [one for one in reports if {one.candidate_key, one.baseline_key} <= known]
    return max(fitting, key=lambda one: sum(one.raters.values()), default=None)
