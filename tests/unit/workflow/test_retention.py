"""Retention as a step of a project: made once, the base's scores shared by all candidates tuned from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from provetune.evaluation.retention import Terms
from provetune.hashing import folder_sha256
from provetune.models.locate import STARTER
from provetune.models.transformers import load_model
from provetune.records.candidate import Candidate, GenerationSettings, TrainingRun
from provetune.records.retention import RetentionReport
from provetune.tuning.methods import lora
from provetune.workflow import retention as step
from provetune.workflow.project import Project, begin_run, open_project
from provetune.workflow.steps import PLAIN
from tests.flows.conftest import write_project

# PEFT asks for an attribute that transformers has renamed
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

SUITE = [
    {"id": str(k), "skill": skill, "prompt": f"Write {word}.", "options": [word, word[::-1]], "answer": 0}
    for skill, words in {"short": ("cat", "dog", "house"), "long": ("garden", "machine")}.items()
    for k, word in ((f"{skill}-{number}", word) for number, word in enumerate(words))
]


@pytest.fixture
def project(tmp_path: Path, tiny_folder: Path) -> Project:
    found = open_project(write_project(tmp_path / "project", tiny_folder, rows=60), (), lambda *_: None)
    begin_run(found)
    (found.folder / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in SUITE), encoding="utf-8")
    return found


def trained(project: Project, seed: int) -> tuple[Candidate, TrainingRun]:
    """An adapter with random weights, as if it had been trained."""
    folder = project.folder / f"adapter-{seed}"
    model = lora(load_model(project.base_folder), {"r": 4, "alpha": 8, "dropout": 0.0, "targets": "all-linear"})
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=draw) * 0.2)
    model.save_pretrained(folder, save_embedding_layers=False)
    numbers: dict[str, Any] = dict.fromkeys(("best_step", "total_steps", "tokens_seen", "labelled_tokens_seen", "seed", "resumed"), 0)
    run = TrainingRun(
        method="lora",
        model=project.model,
        hyperparameters={},
        losses=(),
        validation=(),
        stopped_because="",
        tokens_per_s=1.0,
        duration_s=1.0,
        peak_memory_gib=1.0,
        weights_folder=folder.name,
        weights_sha256=folder_sha256(folder, [".safetensors"]),
        rows_used=0,
        rows_left_out=0,
        **numbers,
    )
    return Candidate(name=f"tuned-{seed}", kind="adapter", prompt=PLAIN, generation=GenerationSettings()), run


def test_it_is_measured_once_and_the_bases_scores_are_shared(project: Project) -> None:
    rows = project.examples
    asked = step.Forgetting(["mine.jsonl"], rows[:40], rows[40:])
    first = step.retention(project, *trained(project, 1), asked)
    assert isinstance(first, RetentionReport) and first.candidate == "tuned-1"
    assert [(s.suite, s.skill, s.items) for s in first.skills] == [("mine.jsonl", "short", 3), ("mine.jsonl", "long", 2)]
    assert first.kl_self is not None and first.kl_self.kl.value is not None and first.kl_self.kl.value > 0
    assert first.kl_task is not None and first.kl_task.texts == len(rows[40:])
    assert first.memorisation is not None and first.memorisation.too_short > 0
    assert step.retention(project, *trained(project, 1), asked) == first
    second = step.retention(project, *trained(project, 2), asked)
    assert second.kl_self != first.kl_self and [s.before for s in second.skills] == [s.before for s in first.skills]
    records = [file.name.partition("-")[0] for file in (project.store.current / "records").iterdir()]
    assert records.count("suite") == 1 and records.count("retention") == 2


def test_another_suite_or_margin_is_measured_anew(project: Project) -> None:
    rows = project.examples
    candidate, run = trained(project, 1)
    first = step.retention(project, candidate, run, step.Forgetting(["mine.jsonl"], rows[:40], rows[40:]))
    wider = step.Forgetting(["mine.jsonl"], rows[:40], rows[40:], Terms(margin=0.2))
    assert step.retention(project, candidate, run, wider).skills[0].margin == 0.2 != first.skills[0].margin


def test_there_is_a_rule_for_every_skill(project: Project) -> None:
    found = step.retention_rules(project, ["builtin", "mine.jsonl"], Terms(margin=0.1))
    assert {(rule.panel, rule.metric) for rule in found} >= {("builtin", "agreement"), ("mine.jsonl", "short"), ("mine.jsonl", "long")}
    assert {(rule.kind, rule.margin, rule.confidence) for rule in found} == {("not_worse_than", 0.1, 0.95)}
    assert len({rule.name for rule in found}) == len(found) == 12


@pytest.mark.slow
def test_what_the_starter_can_do_is_what_can_be_judged() -> None:
    """Measured, not wished for: three skills of grammar; at or near chance elsewhere."""
    from provetune.evaluation.retention import compare_skills, score_suite
    from provetune.models.tokenizer import FolderTokenizer
    from provetune.models.transformers import TransformersGenerator
    from provetune.suites.retention import BUILTIN, read_items

    items = read_items(BUILTIN)
    scores = score_suite(TransformersGenerator(load_model(STARTER), FolderTokenizer(STARTER)), "builtin", items, lambda *_: None)
    status = {skill.skill: skill.status for skill in compare_skills(items, scores, scores, Terms())}
    judged = {skill for skill, found in status.items() if found == "judged"}
    assert judged == {"agreement", "word forms", "word order"}
    assert {status[skill] for skill in ("reading", "knowledge", "arithmetic", "stated format", "free format")} == {"not measurable"}
