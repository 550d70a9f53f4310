"""What prompting adds, before tuning and after it: the same prompts on the base model and on the tuned one."""

from __future__ import annotations

from dataclasses import dataclass

from provetune.records.evaluation import Evidence
from provetune.stats.estimate import Estimate


@dataclass(frozen=True)
class GridLine:
    """One prompt: what the base and the tuned model reach with it on validation; None where it was not tried."""

    prompt: str
    base: Estimate | None
    tuned: Estimate | None
    chosen: bool


def prompt_grid(evidence: Evidence, metric: str) -> tuple[GridLine, ...]:
    """The prompt that the champion's model was tuned with, then all others in the order of the evidence; empty without a tuned model."""
    found = {e.candidate.name: e for e in evidence.evaluations if e.part == "validation"}
    champion = found.get(evidence.champion)
    if champion is None or champion.candidate.kind not in ("adapter", "full", "head"):
        return ()
    tuned = {name: e.summary.get(metric) for name, e in found.items() if e.candidate.weights_sha256 == champion.candidate.weights_sha256}
    plain = min(tuned, key=len)
    base = {name: e.summary.get(metric) for name, e in found.items() if e.candidate.kind == "prompt"}
    lines = [GridLine("as it was tuned", None, tuned[plain], evidence.champion == plain)]
    names = dict.fromkeys([*base, *(name.removeprefix(f"{plain}+") for name in tuned if name != plain)])
    return (*lines, *(GridLine(n, base.get(n), tuned.get(f"{plain}+{n}"), evidence.champion == f"{plain}+{n}") for n in names))
