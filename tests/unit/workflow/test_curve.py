"""The curve of a project: what is trained on what, that nothing is measured twice, that the test rows stay sealed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from provetune.errors import AuditBlocked, DataError, SpecError
from provetune.protocols import Progress
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Example
from provetune.records.evaluation import Evaluation
from provetune.similarity import tied_together
from provetune.workflow import steps
from provetune.workflow.curve import LADDERS, curve_of, curve_sizes, stored_curve
from provetune.workflow.project import Project, begin_run, open_project
from provetune.workflow.prompts import generation_settings
from provetune.workflow.training import StandIn, Trainings
from tests.flows.conftest import base_folder, ticket_rows, write_csv, write_project
from tests.unit.records_by_hand import LABELS, examples_of

__all__ = ["base_folder"]


def quiet(what: str, done: int, total: int) -> None:
    """No progress."""


def opened(folder: Path, progress: Progress = quiet) -> Project:
    return open_project(folder, (), progress)


@pytest.fixture
def project(tmp_path: Path, tiny_folder: Path) -> Project:
    return opened(write_project(tmp_path / "project", tiny_folder, rows=400))


@pytest.mark.parametrize("rows", [57, 60, 100, 399, 400, 799, 800, 1600, 10_000, 123_457])
@pytest.mark.parametrize("most", [5, 6])
def test_sizes_grow_up_to_all_rows(rows: int, most: int) -> None:
    sizes = curve_sizes(rows, most)
    assert 4 <= len(sizes) <= most and sizes[-1] == rows
    assert all(1.35 <= b / a <= 2.05 for a, b in pairwise(sizes)) and sizes[0] >= min(fewest for _, _, fewest in LADDERS)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(DataError, match="found 56 training rows, wanted at least 57"):
        curve_sizes(56, 6)


def test_the_stand_in_is_measured_once_and_opens_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    curve = curve_of(project, quick=True, noise=False)
    assert (curve.candidate, curve.proxy, curve.noisy, curve.metric) == ("linear", True, (), "accuracy")
    train = steps.split_project(project, steps.audit_project(project)).train_ids
    assert curve.points[-1].rows == curve.rows == len(train) and curve.points[0].draws == 3 and curve.points[-1].draws == 1
    assert not project.store.ledger_file.exists(), "the test rows stay sealed"

    def not_again(self: StandIn, rows: Sequence[Example], draw: int) -> Evaluation:
        pytest.fail("measured again")

    monkeypatch.setattr(StandIn, "measured", not_again)
    assert curve_of(opened(project.folder), quick=True, noise=False) == curve
    assert stored_curve(project) == curve
    (file,) = (project.store.current / "records").glob("learning-curve-*.json")
    file.write_text("{")
    assert stored_curve(project) is None, "a damaged record is no curve, and no crash"


def test_a_subset_of_one_label_is_learned_as_such() -> None:
    rows = examples_of(["billing"] * 30)
    learner = StandIn(LABELS, GenerationSettings(), examples_of(LABELS))
    assert learner.measured(rows, 0).summary["accuracy"].value == pytest.approx(1 / 3)


def test_an_interrupted_curve_goes_on_where_it_was(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_project(tmp_path / "project", tiny_folder, rows=400)
    measured, done = StandIn.measured, list[int]()

    def stops(self: StandIn, rows: Sequence[Example], draw: int) -> Evaluation:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(len(rows))
        return measured(self, rows, draw)

    monkeypatch.setattr(StandIn, "measured", stops)
    with pytest.raises(KeyboardInterrupt):
        curve_of(opened(folder), quick=True, noise=False)
    first = tuple(done)

    def goes_on(self: StandIn, rows: Sequence[Example], draw: int) -> Evaluation:
        done.append(len(rows))
        return measured(self, rows, draw)

    monkeypatch.setattr(StandIn, "measured", goes_on)
    curve = curve_of(opened(folder), quick=True, noise=False)
    assert len(first) == 3 and len(done) == sum(point.draws for point in curve.points)


def test_wrong_targets_are_planted_in_the_training_rows_only(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    measured, seen = StandIn.measured, list[tuple[int, int]]()
    truth = {example.id: example.target for example in project.examples}

    def looks(self: StandIn, rows: Sequence[Example], draw: int) -> Evaluation:
        assert all(truth[example.id] == example.target for example in self.validation)
        seen.append((len(rows), sum(truth[example.id] != example.target for example in rows)))
        return measured(self, rows, draw)

    monkeypatch.setattr(StandIn, "measured", looks)
    curve = curve_of(project, quick=True, noise=True)
    assert [arm.share for arm in curve.noisy] == [0.1, 0.2]
    assert all([p.rows for p in arm.points] == [p.rows for p in curve.points] for arm in curve.noisy)
    shares = sorted(wrong / rows for rows, wrong in seen if rows == curve.rows)
    assert shares[0] == 0 and 0.05 < shares[1] < 0.15 < shares[2] < 0.27
    assert stored_curve(project) == curve


def test_progress_counts_rows_to_the_end(tmp_path: Path, tiny_folder: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    folder = write_project(tmp_path / "project", tiny_folder, rows=400)
    curve_of(opened(folder, lambda what, done, total: calls.append((what, done, total))), quick=True, noise=False)
    mine = [(done, total) for what, done, total in calls if what == "curve, linear"]
    assert mine[0][0] == 0 and mine[-1][0] == mine[-1][1] and [done for done, _ in mine] == sorted(done for done, _ in mine)


def test_a_task_without_labels_has_no_stand_in(tmp_path: Path, tiny_folder: Path) -> None:
    folder = write_project(tmp_path / "project", tiny_folder)
    text = (folder / "provetune.yaml").read_text().replace("task: classify", "task: generate")
    (folder / "provetune.yaml").write_text(text)
    with pytest.raises(SpecError, match="--quick: the linear stand-in needs labels"):
        curve_of(opened(folder), quick=True, noise=False)


def test_what_blocks_in_the_audit_blocks_the_curve(tmp_path: Path, tiny_folder: Path) -> None:
    folder = write_project(tmp_path / "project", tiny_folder)
    rows = ticket_rows(60)
    labels = [label for _, label in rows]
    write_csv(folder / "tickets.csv", rows + [(text, label) for (text, _), label in zip(rows, labels[1:] + labels[:1], strict=True)])
    with pytest.raises(AuditBlocked):
        curve_of(opened(folder), quick=True, noise=False)


def trainings_of(project: Project) -> tuple[Trainings, list[Example]]:
    begin_run(project)
    parts = steps.split_project(project, steps.audit_project(project))
    rows = {example.id: example for example in project.examples}
    train = [rows[i] for i in parts.train_ids]
    validation = tied_together([rows[i] for i in parts.validation_ids])
    plan = steps.plan_project(project, parts, train)
    return Trainings(project, plan, generation_settings(project, train), validation), train


def test_every_size_is_trained_by_the_plan_s_rules(project: Project) -> None:
    trainings, train = trainings_of(project)
    few, many = (trainings._request(train[:count], 2, project.folder) for count in (50, 200))
    assert few.hyperparameters == many.hyperparameters and few.hyperparameters["epochs"] == 1, "the project file says one epoch"
    assert few.seed == project.spec.train.seeds[0] + 2 and len(few.validation) <= len(trainings.validation)
    auto = replace(project, spec=project.spec.model_copy(update={"train": project.spec.train.model_copy(update={"epochs": "auto"})}))
    request = replace(trainings, project=auto)._request(train, 0, project.folder)
    assert request.hyperparameters["epochs"] == 12, "the rule for a small model and few rows"
    assert request.hyperparameters["max_length"] == trainings.plan.hyperparameters[trainings.method]["max_length"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
def test_real_trainings_are_measured_and_leave_no_weights(tmp_path: Path, base_folder: Path) -> None:
    project = opened(write_project(tmp_path / "project", base_folder, rows=200))
    curve = curve_of(project, quick=False, noise=False)
    assert (curve.candidate, curve.proxy) == ("tuned-lora", False) and len(curve.points) == 4
    assert curve.prompt is not None and curve.prompt.value is not None, "the best prompt is the line to beat"
    assert not project.store.ledger_file.exists() and not list(project.store.current.rglob("*.safetensors"))
    events = [json.loads(line) for line in (project.store.current / "events.jsonl").read_text().splitlines()]
    assert sum(e["event"] == "finished" and e["step"] == "curve-point" for e in events) == sum(p.draws for p in curve.points)
    assert curve_of(opened(project.folder), quick=False, noise=False) == curve
