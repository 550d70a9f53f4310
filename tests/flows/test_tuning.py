"""Whole runs of what tuning can do beside its defaults: a search, pairs of answers, a head, new tokens, release after release."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from provetune.models.head import HEAD_FILE
from provetune.models.locate import tuned_folder
from provetune.records.candidate import Plan, TrainingRun
from provetune.records.data import Split
from provetune.records.evaluation import Evidence
from provetune.records.tuning_search import TuningSearch
from provetune.store import content_sha256
from provetune.workflow.prevention import prevented
from provetune.workflow.project import open_project
from provetune.workflow.tuned import Recipe
from tests.flows.conftest import Trained, call, write_csv, write_project

VERDICTS = (0, 3, 4)


def changed(folder: Path, **parts: Any) -> Path:
    """The project with these parts of its file in place of its own."""
    file = folder / "provetune.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text(encoding="utf-8")), **parts}), encoding="utf-8")
    return folder


def records(folder: Path, step: str) -> list[str]:
    return [file.read_text(encoding="utf-8") for file in sorted((folder / "runs" / "latest" / "records").glob(f"{step}-*.json"))]


def evidence_of(folder: Path) -> Evidence:
    return Evidence.from_json((folder / "runs" / "latest" / "evidence.json").read_text(encoding="utf-8"))


def best_on_validation(evidence: Evidence, names: Sequence[str]) -> set[str]:
    """The candidates with the highest accuracy on validation."""
    scores = {
        e.candidate.name: e.summary["accuracy"].value or 0.0
        for e in evidence.evaluations
        if (e.part, e.candidate.name in names) == ("validation", True)
    }
    assert set(scores) == set(names)
    return {name for name, score in scores.items() if score == max(scores.values())}


def test_a_head_ships_only_if_it_wins_on_validation(tmp_path: Path, base_folder: Path) -> None:
    folder = changed(
        write_project(tmp_path / "project", base_folder), train={"method": "lora", "epochs": 1, "batch_size": 16, "head": True}
    )
    done = call("-C", folder, "run")
    assert done.code in VERDICTS, done.err
    evidence = evidence_of(folder)
    assert evidence.champion in best_on_validation(evidence, ["tuned-lora", "tuned-head"])
    (training,) = [TrainingRun.from_json(text) for text in records(folder, "tuning-head")]
    kept = folder / training.weights_folder / HEAD_FILE
    assert training.method == "head" and kept.is_file()
    assert (folder / "runs" / "latest" / "head" / HEAD_FILE).is_file() == (evidence.champion == "tuned-head")
    assert "tuned-head" in (folder / "runs" / "latest" / "report.html").read_text(encoding="utf-8")
    again = call("-C", folder, "run")
    assert again.code == done.code and call("report", "--verify", folder / "runs" / "latest" / "evidence.json").code == 0


def test_the_next_release_goes_on_from_the_last_and_replays_what_it_trained_on(trained: Trained, tmp_path: Path, base_folder: Path) -> None:
    one = trained.folder
    two = changed(
        write_project(tmp_path / "two", base_folder),
        train={"method": "lora", "epochs": 1, "batch_size": 16, "start": str(one), "replay": {"source": [str(one)], "share": 0.25}},
    )
    draw = random.Random(3)
    rows = [(f"{draw.randrange(10**6)} please close {draw.randrange(10**6)} {k}", ("close", "open")[k % 2]) for k in range(90)]
    write_csv(two / "tickets.csv", rows)
    project = open_project(two, (), lambda *_: None)
    assert tuned_folder(two, project.spec.train.start, "lora") == (one / "runs" / "latest" / "adapter").resolve()
    (split,) = [Split.from_json(text) for text in records(one, "split")]
    made = prevented(project, None, Recipe("lora", "lora", None, None, (), (), 1))  # type: ignore[arg-type]
    assert made.beside is not None and made.beside.counts == {f"rows of {one}": len(split.train_ids)}
    earlier = {e.id: e for e in open_project(one, (), lambda *_: None).examples}
    trained_on = {earlier[number].prompt_text for number in split.train_ids}
    assert {talk[0].content for talk in made.beside.talks} == trained_on, "and none of the rows that the last release is judged by"
    done = call("-C", two, "run")
    assert done.code in VERDICTS, done.err
    (training,) = [TrainingRun.from_json(text) for text in records(two, "tuning-lora")]
    (first,) = [TrainingRun.from_json(text) for text in records(one, "tuning-lora")]
    assert training.start_sha256 == first.weights_sha256 and training.beside == made.beside.counts


def test_what_cannot_be_gone_on_from_is_named(tmp_path: Path, base_folder: Path) -> None:
    folder = write_project(tmp_path / "project", base_folder)
    nothing = call("-C", folder, "run", "--set", f"train.start={tmp_path}")
    assert nothing.code == 2 and "train.start: found no tuned weights" in nothing.err
    other = write_project(tmp_path / "other", base_folder)
    unrun = call("-C", folder, "run", "--set", f"train.replay={other}")
    assert unrun.code == 2 and "is a project without a run; run it first" in unrun.err


@pytest.mark.slow
def test_new_tokens_are_learned_and_prompts_are_read_without_them(tmp_path: Path, base_folder: Path) -> None:
    train = {"method": "lora", "epochs": 1, "batch_size": 16, "new_tokens": ["invoice", "parcel"]}
    folder = changed(write_project(tmp_path / "project", base_folder), train=train)
    done = call("-C", folder, "run")
    assert done.code in VERDICTS, done.err
    evidence = evidence_of(folder)
    plain = write_project(tmp_path / "plain", base_folder)
    assert call("-C", plain, "run").code in VERDICTS
    scores = [
        {e.candidate.name: e.observations["accuracy"] for e in one.evaluations if e.candidate.kind == "prompt"}
        for one in (evidence, evidence_of(plain))
    ]
    assert scores[0] == scores[1] and scores[0], "the base answers as if there were no new tokens"


@pytest.mark.slow
def test_a_run_that_searches_trains_with_what_won(tmp_path: Path, base_folder: Path) -> None:
    search = {"trials": 2, "space": {"learning_rate": [0.001, 0.01]}}
    folder = changed(write_project(tmp_path / "project", base_folder, rows=90), search=search)
    done = call("-C", folder, "run")
    assert done.code in VERDICTS, done.err
    (found,) = [TuningSearch.from_json(text) for text in records(folder, "tuning-search-lora")]
    assert len({trial.number for trial in found.trials}) == 2 and len(found.trials) == 6, "few rows: the best two again with two seeds"
    (training,) = [TrainingRun.from_json(text) for text in records(folder, "tuning-lora")]
    assert training.hyperparameters == found.winner
    plans = [Plan.from_json(text) for text in records(folder, "plan-searched")]
    changed_keys = [key for key, value in found.winner.items() if value != found.start.get(key)]
    assert all(plans[0].why[f"lora.{key}"].startswith("search: best of 2 configurations") for key in changed_keys)
    assert "Search" in (folder / "runs" / "latest" / "report.html").read_text(encoding="utf-8")
    assert call("-C", folder, "run").code == done.code


@pytest.mark.slow
@pytest.mark.parametrize("method", ["dpo", "orpo"])
def test_a_run_on_pairs_of_answers(method: str, tmp_path: Path, base_folder: Path) -> None:
    folder = write_project(tmp_path / "project", base_folder)
    rows = [{"prompt": f"say {k} kindly", "chosen": f"please {k}", "rejected": f"no {k * 7}"} for k in range(90)]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    train = {"method": method, "epochs": 1, "batch_size": 16}
    data = {"path": "pairs.jsonl", "format": "preference"}
    done = call("-C", changed(folder, data=data, task="generate", train=train), "run")
    assert done.code in VERDICTS, done.err
    (training,) = [TrainingRun.from_json(text) for text in records(folder, f"tuning-{method}")]
    project = open_project(folder, (), lambda *_: None)
    (split,) = [Split.from_json(text) for text in records(folder, "split")]
    assert training.method == method and training.rows_used == len(split.train_ids) and training.losses
    assert evidence_of(folder).champion == f"tuned-{method}" and content_sha256(project.examples)


@pytest.mark.slow
def test_a_run_in_a_folder_with_blanks_and_umlauts_where_the_locale_is_c(tmp_path: Path, base_folder: Path) -> None:
    folder = write_project(tmp_path / "mein Projekt ü 漢", base_folder)
    table = folder / "tickets.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("again", "schön 漢字"), encoding="utf-8")
    plain = {**os.environ, "LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-W", "error::EncodingWarning", "-m", "provetune", "-C", str(folder), "run"]
    done = subprocess.run(command, env=plain, capture_output=True, check=False, timeout=600)
    assert done.returncode in VERDICTS, done.stderr.decode(errors="replace")
    assert "schön 漢字" in (folder / "runs" / "latest" / "report.html").read_text(encoding="utf-8")
