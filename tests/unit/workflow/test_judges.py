"""What the project file names for the audit reaches it: suites, names, toxicity."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from provetune.errors import SpecError
from provetune.workflow import steps
from provetune.workflow.judges import judges, judges_key
from provetune.workflow.project import Project, begin_run, open_project
from tests.flows.conftest import write_project


@pytest.fixture
def folder(tmp_path: Path, tiny_folder: Path) -> Path:
    return write_project(tmp_path / "project", tiny_folder, rows=60)


def opened(folder: Path, *overrides: str) -> Project:
    project = open_project(folder, overrides, lambda *_: None)
    begin_run(project)
    return project


def write_suite(folder: Path, texts: Sequence[str]) -> None:
    rows = [{"skill": "s", "prompt": text, "options": ["a", "b"]} for text in texts]
    (folder / "suite.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_rows_that_hold_items_of_a_suite_are_found(folder: Path) -> None:
    plain = steps.audit_project(opened(folder, "prove.retention=[]"))
    assert any("Contamination was not measured" in text for text in plain.not_measured)
    row = opened(folder).examples[0]
    write_suite(folder, [f"{row.prompt_text} {row.target}", "something else entirely that nobody here has ever written down before"])
    found = steps.audit_project(opened(folder, "prove.retention=suite.jsonl"))
    assert not any("Contamination" in text for text in found.not_measured)
    [finding] = [one for one in found.findings if one.check == "contamination"]
    assert finding.count == 1 and finding.example_ids == (row.id,)


def test_a_changed_suite_is_another_audit(folder: Path) -> None:
    write_suite(folder, ["one"])
    project = opened(folder, "prove.retention=suite.jsonl")
    before = judges_key(project)
    write_suite(folder, ["two"])
    assert judges_key(project) != before and judges(project).suites == {"suite.jsonl": ["two"]}


def test_nothing_is_judged_that_is_not_named(folder: Path) -> None:
    found = judges(opened(folder, "prove.retention=[]"))
    assert (found.suites, found.recogniser, found.toxicity) == ({}, None, None)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("audit.toxicity=absent", "absent is no folder"),
        ("audit.names=en_absent_pipeline", "audit.names"),
    ],
)
def test_what_is_not_there_is_told_with_its_key(folder: Path, given: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        steps.audit_project(opened(folder, given))


def test_a_file_that_is_not_hatecheck_is_refused(folder: Path, tiny_folder: Path) -> None:
    (folder / "cases.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SpecError, match="no column 'functionality'"):
        judges(opened(folder, f"audit.toxicity={{model: {tiny_folder}, hatecheck: cases.csv}}"))
    with pytest.raises(SpecError, match="cannot be read"):
        judges(opened(folder, f"audit.toxicity={{model: {tiny_folder}, hatecheck: absent.csv}}"))
