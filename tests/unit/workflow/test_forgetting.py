"""What is done against forgetting, in a project: what is trained on beside the rows, and which weights go on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from provetune.errors import SpecError
from provetune.evaluation.remedies import selecting
from provetune.evaluation.retention import score_suite
from provetune.hashing import folder_sha256
from provetune.models.tokenizer import FolderTokenizer
from provetune.models.transformers import TransformersGenerator, load_model
from provetune.records.candidate import Plan
from provetune.records.retention import SuiteItem
from provetune.workflow import steps
from provetune.workflow.contender import best_of
from provetune.workflow.forgetting import Remedied, remedied
from provetune.workflow.prepare import Prepared, prepare
from provetune.workflow.prevention import prevented
from provetune.workflow.project import Project, begin_run, open_project
from provetune.workflow.provenance import provenance
from provetune.workflow.retention import Forgetting, retention
from provetune.workflow.tuned import Recipe, trained, tuned_candidate
from provetune.workflow.weigh import SCALES
from tests.fake_endpoint import KEY, MODEL, FakeEndpoint
from tests.flows.conftest import ticket_rows, write_jsonl, write_project
from tests.models import save_folder, tiny_llama

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")


def liked(folder: Path, count: int = 300) -> list[SuiteItem]:
    """Items of which the base itself says what is right, so that it has the skill whole."""
    items = [SuiteItem(id=str(k), skill="habit", prompt=f"Say {k}", options=(f"x{k}", f"{k}y"), answer=0) for k in range(count)]
    found = score_suite(TransformersGenerator(load_model(folder), FolderTokenizer(folder)), "mine", items, lambda *_: None)
    answers = [0 if score is not None and score[0] else 1 for score in found.scores]
    return [item.model_copy(update={"answer": answer}) for item, answer in zip(items, answers, strict=True)]


@pytest.fixture(scope="module")
def suite(tiny_folder: Path) -> str:
    return "".join(json.dumps(item.model_dump(mode="json", exclude_none=True)) + "\n" for item in liked(tiny_folder))


def opened(folder: Path, base: Path, suite: str, train: str, more: str = "") -> tuple[Project, Prepared, Recipe]:
    folder = write_project(folder, base, rows=60, more="prove: {retention: mine.jsonl}\n" + more)
    (folder / "mine.jsonl").write_text(suite, encoding="utf-8")
    spec = folder / "provetune.yaml"
    spec.write_text(spec.read_text().replace("train: {", f"train: {{{train}, learning_rate: 0.05, "), encoding="utf-8")
    project = open_project(folder, (), lambda *_: None)
    begin_run(project)
    prepared = prepare(project)
    plan: Plan = steps.plan_project(project, prepared.split, prepared.train)
    return project, prepared, Recipe("lora", "lora", plan, prepared.settings, prepared.train, prepared.validation, 1)


def choice(project: Project, prepared: Prepared, recipe: Recipe, *, allowed: bool = True) -> Remedied:
    training = trained(project, recipe, allowed=True)
    candidate, generator = tuned_candidate(project, training, recipe, prepared.responses)
    best = best_of(project, prepared, [candidate], generator)
    return remedied(project, prepared, (best, recipe), [], allowed=allowed)


def test_every_scale_is_weighed_once_and_the_chosen_weights_are_there(tmp_path: Path, tiny_folder: Path, suite: str) -> None:
    project, prepared, recipe = opened(tmp_path / "project", tiny_folder, suite, "forgetting: scale")
    found = choice(project, prepared, recipe)
    report = found.report
    assert report is not None and [point.scale for point in report.points] == [1.0, *SCALES]
    losses = [point.skills[0].difference.value or 0.0 for point in report.points]
    assert losses[0] < -0.2 and losses[-1] >= losses[0], "the training is strong enough to forget"
    assert all(point.skills[0].judging == 250 for point in report.points)
    taken = report.points[report.chosen]
    candidate = found.contender.candidate
    assert (
        candidate.weights_sha256 == taken.weights_sha256 == folder_sha256(project.folder / found.training.weights_folder, [".safetensors"])
    )
    weights = {item.name for item in (project.store.current / "weights").iterdir()}
    assert weights == {"lora", Path(found.training.weights_folder).name}
    again = choice(project, prepared, recipe)
    assert again.report == report and again.training == found.training
    asked = Forgetting(["mine.jsonl"], prepared.train, prepared.validation, selected=True)
    kept = retention(project, candidate, found.training, asked)
    assert [skill.items for skill in kept.skills] == [250] and len(selecting(liked(tiny_folder))) == 50


@pytest.mark.slow
def test_where_no_scale_gains_a_training_held_by_kl_is_weighed_too(tmp_path: Path, tiny_folder: Path, suite: str) -> None:
    train = "forgetting: {texts: 12, weight: 5}"
    project, prepared, recipe = opened(tmp_path / "project", tiny_folder, suite, train, "budget: {max_hours: 1}\n")
    project = replace(project, spec=project.spec.model_copy(update={"prove": project.spec.prove.model_copy(update={"margin": 0.99})}))
    alone = choice(project, prepared, recipe, allowed=False)
    assert alone.report is not None and {point.training for point in alone.report.points} == {"lora"}
    next((project.store.current / "records").glob("forgetting-*.json")).unlink()
    found = choice(project, prepared, recipe)
    assert found.report is not None and {point.training for point in found.report.points} == {"lora", "lora-kl"}
    assert not any(point.gains for point in found.report.points) and "none gains enough" in found.report.sentence
    held = next(run for run in found.runs if run.beside)
    assert held.beside["texts that the base wrote"] <= 12
    sheet = provenance(project, prepared.split, found.runs)
    last = sheet.trainings[0].changes[-1]
    assert last.added == held.beside and last.rows_out == held.rows_used + held.beside["texts that the base wrote"]


def test_a_given_scale_is_taken_as_it_is(tmp_path: Path, tiny_folder: Path, suite: str) -> None:
    project, prepared, recipe = opened(tmp_path / "project", tiny_folder, suite, "forgetting: {remedy: scale, scale: 0.5}")
    found = choice(project, prepared, recipe)
    assert found.report is None and found.training.scale == 0.5 and found.contender.candidate.name == "tuned-lora-x0.5"


def test_without_a_suite_or_a_remedy_nothing_is_weighed(tmp_path: Path, tiny_folder: Path, suite: str) -> None:
    project, prepared, recipe = opened(tmp_path / "project", tiny_folder, suite, "forgetting: none")
    found = choice(project, prepared, recipe)
    assert found.report is None and found.runs == () and found.training.scale == 1
    spec = project.spec.model_copy(update={"prove": project.spec.prove.model_copy(update={"retention": []})})
    assert choice(replace(project, spec=spec), prepared, recipe) is not None


def test_replay_leaves_out_rows_of_this_task(tmp_path: Path, tiny_folder: Path, suite: str) -> None:
    project, prepared, recipe = opened(tmp_path / "project", tiny_folder, suite, "replay: {source: [a.jsonl, b.jsonl], share: 0.25}")
    own = [(e.prompt_text, e.target) for e in project.examples[:7]]
    write_jsonl(project.folder / "a.jsonl", [*own, *((f"general question {k} of another kind", f"answer {k}") for k in range(20))])
    write_jsonl(project.folder / "b.jsonl", ticket_rows(30, seed=77))
    made = prevented(project, prepared, recipe)
    texts = made.beside
    assert texts is not None and texts.pull == 0 and texts.share == 0.25
    assert texts.counts == {"rows of a.jsonl": 27, "rows of b.jsonl": 30}
    assert texts.left_out["equal or nearly equal to rows of this task"] >= 7
    assert len(texts.talks) == 57 - sum(texts.left_out.values())
    assert not {talk[0].content for talk in texts.talks} & {e.prompt_text for e in project.examples}
    assert trained(project, made, allowed=True).beside == texts.counts


def test_targets_that_are_labels_are_not_rewritten(tmp_path: Path, tiny_folder: Path, suite: str) -> None:
    project, prepared, recipe = opened(tmp_path / "project", tiny_folder, suite, "forgetting: distill")
    with pytest.raises(SpecError, match="those of a classification are labels"):
        prevented(project, prepared, recipe)


def teaching(folder: Path, base: Path, teacher: str, more: str = "") -> tuple[Project, Prepared, Recipe]:
    """A project whose targets `teacher` writes again, kept from a ROUGE-L of 0.3 on."""
    folder = write_project(folder, base, rows=60, more="prove: {retention: []}\n" + more)
    spec = folder / "provetune.yaml"
    train = f"train: {{forgetting: {{remedy: distill, teacher: {teacher}, at_least: 0.3}}, "
    spec.write_text(spec.read_text().replace("task: classify", "task: generate").replace("train: {", train), encoding="utf-8")
    project = open_project(folder, (), lambda *_: None)
    begin_run(project)
    prepared = prepare(project)
    plan: Plan = steps.plan_project(project, prepared.split, prepared.train)
    return project, prepared, Recipe("lora", "lora", plan, prepared.settings, prepared.train, prepared.validation, 1)


def test_targets_are_written_by_a_teacher_behind_an_endpoint(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kept where they are right by the metric; a wrong one leaves the given target, and both are counted."""
    monkeypatch.setenv("SOME_KEY", KEY)
    rows = dict(ticket_rows(60))

    def answer(text: str) -> str:
        return f"it is {rows[text]}" if text.split()[0] < "o" else "nonsense"

    with FakeEndpoint(answer=answer).running() as server:
        big = f"baselines: [zero-shot, {{name: big, model: {MODEL}, endpoint: {{url: '{server.url}', key_from: SOME_KEY}}}}]\n"
        project, prepared, recipe = teaching(tmp_path / "project", tiny_folder, "big", big)
        made = prevented(project, prepared, recipe)
        asked = server.asked.total()
    assert asked == len(recipe.train) == sum(made.rewritten.values())
    wanted = [f"it is {e.target}" if e.prompt_text.split()[0] < "o" else e.target for e in recipe.train]
    assert [e.target for e in made.train] == wanted and 0 < made.rewritten["rewritten"] < len(wanted)
    run = trained(project, made, allowed=True)
    assert run.rewritten == made.rewritten and run.rows_used == len(wanted)


def test_a_teacher_in_a_folder_is_asked_and_one_that_is_none_is_named(tmp_path: Path, tiny_folder: Path) -> None:
    teacher = save_folder(tmp_path / "teacher", tiny_llama(seed=3))
    project, prepared, recipe = teaching(tmp_path / "project", tiny_folder, str(teacher))
    made = prevented(project, prepared, recipe)
    assert sum(made.rewritten.values()) == len(recipe.train) and len(made.train) == len(recipe.train)
    project, prepared, recipe = teaching(tmp_path / "none", tiny_folder, "nowhere")
    with pytest.raises(SpecError, match="found 'nowhere', wanted a model folder or a baseline with an endpoint"):
        prevented(project, prepared, recipe)
