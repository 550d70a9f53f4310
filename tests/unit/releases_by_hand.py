"""Small releases with real files, for the tests of the registry, of serving and of watching."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from provetune.hashing import file_sha256
from provetune.records.candidate import Candidate, GenerationSettings, Prompt
from provetune.records.evaluation import DecisionOutcome
from provetune.records.release import Licence, MonitoringReference, ReferenceRow, Release
from provetune.registry import Author, Registry
from provetune.stats.estimate import Estimate

ADA = Author("ada", "a test")


def draft_of(folder: Path, seed: int = 0, outcome: DecisionOutcome = "ship") -> tuple[Release, dict[str, Path]]:
    """A release with one small weights file, evidence and reference rows, and where its files are."""
    folder.mkdir(parents=True, exist_ok=True)
    weights, evidence, reference = folder / "adapter_model.safetensors", folder / "evidence.json", folder / "reference.jsonl"
    save_file({"a": np.random.default_rng(seed).normal(size=64).astype(np.float32)}, weights)
    evidence.write_text(f'{{"seed": {seed}}}', encoding="utf-8")
    rows = [ReferenceRow(id=f"r{k}", part="test", text=f"question {k}", target="billing", label="billing") for k in range(5)]
    reference.write_text("".join(row.model_dump_json() + "\n" for row in rows), encoding="utf-8")
    settings = GenerationSettings()
    candidate = Candidate(
        name="tuned-lora", kind="adapter", prompt=Prompt(strategy="plain"), generation=settings, weights_sha256=file_sha256(weights)
    )
    draft = Release(
        version=1,
        project="tickets",
        candidate=candidate,
        outcome=outcome,
        decision=f"{seed:016x}",
        evidence_sha256=file_sha256(evidence),
        template="0" * 16,
        generation=settings,
        licences=(Licence(of="base model", name="starter", licence="Apache-2.0"),),
        reference=MonitoringReference(
            file="reference.jsonl",
            sha256=file_sha256(reference),
            rows=len(rows),
            metric="accuracy",
            error=Estimate(0.1, 0.05, 0.15, 200, 0.95, "Wilson"),
        ),
        files=(),
    )
    return draft, {"weights/adapter_model.safetensors": weights, "evidence.json": evidence, "reference.jsonl": reference}


def registered(project: Path, seed: int = 0) -> Release:
    """A registered release of its own."""
    draft, files = draft_of(project / "runs" / f"made-{seed}", seed)
    return Registry(project).register(draft, files, ADA)
