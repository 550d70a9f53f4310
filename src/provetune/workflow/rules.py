"""What is fixed before training: the rules of the gate, the lock of the split, the line of the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from provetune.evaluation.retention import Terms
from provetune.hashing import fingerprint
from provetune.records.candidate import Candidate
from provetune.records.data import Split
from provetune.records.evaluation import GateRule, Opening
from provetune.records.prompt_search import SEARCHED
from provetune.workflow.project import Project
from provetune.workflow.retention import retention_rules


def gate_rules(project: Project, prompts: Sequence[str]) -> tuple[GateRule, ...]:
    """The rules, from the spec alone, before anything is trained."""
    prove = project.spec.prove
    # what a search finds is always to be beaten: that is what it is for
    searched = [SEARCHED] if project.spec.prompts.search else []
    against = dict.fromkeys([*(prompts if prove.against == "best-baseline" else prove.against), *searched])
    better = [
        GateRule(
            name=f"better than {name}",
            kind="beats_baseline",
            metric=project.metric,
            baseline=name,
            margin=prove.margin,
            confidence=prove.confidence,
        )
        for name in against
    ]
    kept = retention_rules(project, prove.retention, Terms())
    return (*better, *kept, GateRule(name="nothing blocks in the audit", kind="audit"))


def fixed_before_training(project: Project, parts: Split, rules: Sequence[GateRule]) -> dict[str, str]:
    """What may not change any more: written to split.lock before training, shown in the report."""
    return {
        "metric": project.metric,
        "margin": f"{project.spec.prove.margin:g}",
        "confidence": f"{project.spec.prove.confidence:g}",
        "rules": fingerprint([rule.model_dump(mode="json") for rule in rules]),
        "split": parts.fingerprint,
        "test_rows": str(len(parts.test_ids)),
        "test_sha256": parts.test_sha256,
    }


def opening_of(project: Project, parts: Split, fixed: dict[str, str], candidates: Sequence[Candidate]) -> Opening:
    """The ledger's line for reading the test rows with these candidates under these rules."""
    return Opening(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        reason="final evaluation of all candidates",
        run=project.store.current.name,
        spec=fingerprint(fixed),
        test_sha256=parts.test_sha256,
        row_hashes=parts.test_row_hashes,
        rows=len(parts.test_row_hashes),
        candidates=tuple(sorted(c.fingerprint for c in candidates)),
    )
