"""The augmented arm of a project: what its rows are held against, and what its difference says."""

from __future__ import annotations

from pathlib import Path

import pytest

from provetune.models.scripted import ScriptedGenerator
from provetune.similarity import find_leaks
from provetune.workflow import steps
from provetune.workflow.augment_arm import augmented_rows, difference_text
from provetune.workflow.project import begin_run, open_project
from tests.flows.conftest import write_project
from tests.unit.records_by_hand import comparison_of

NOBODY = ScriptedGenerator({})


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        ((0.04, 0.01, 0.07), "helped on validation (+4.0 points of accuracy [+1.0, +7.0], n=100)"),
        ((-0.04, -0.07, -0.01), "did harm on validation (-4.0 points"),
        ((0.01, -0.02, 0.04), "no difference that validation can show"),
        ((None, None, None), "not measured"),
    ],
)
def test_the_sentence_goes_by_the_interval(difference: tuple[float | None, float | None, float | None], words: str) -> None:
    assert words in difference_text(comparison_of("tuned-lora", difference))


def test_new_rows_keep_away_from_every_row_that_does_not_train(tmp_path: Path, tiny_folder: Path) -> None:
    folder = write_project(tmp_path / "project", tiny_folder, rows=240, more="augment: {kinds: [edit, swap], copies: 3}\n")
    project = open_project(folder, (), lambda *_: None)
    begin_run(project)
    parts = steps.split_project(project, steps.audit_project(project))
    rows = {example.id: example for example in project.examples}
    train = [rows[i] for i in parts.train_ids]
    found = augmented_rows(project, parts, train, NOBODY)
    assert found is not None and 0 < found.kept <= len(train) and found.rows[: len(train)] == train
    others = [example for example in project.examples if example.id not in set(parts.train_ids)]
    assert {e.id for e in others} >= {*parts.validation_ids, *parts.test_ids}
    new = found.rows[len(train) :]
    assert not find_leaks(new, others, 0.8) and {e.source_id for e in new} <= set(parts.train_ids)
    assert not project.store.ledger_file.exists(), "the sealed file is not opened"


def test_nothing_is_made_unasked(tmp_path: Path, tiny_folder: Path) -> None:
    project = open_project(write_project(tmp_path / "project", tiny_folder), (), lambda *_: None)
    begin_run(project)
    parts = steps.split_project(project, steps.audit_project(project))
    assert augmented_rows(project, parts, project.examples, NOBODY) is None
