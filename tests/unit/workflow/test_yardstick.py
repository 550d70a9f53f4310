"""What a project's candidates are measured by: schema, metrics beside, code of the user's own, and the key that names all of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from provetune.errors import SpecError
from provetune.evaluation import compare
from provetune.metrics import METRICS
from provetune.models.scripted import ScriptedGenerator
from provetune.records.evaluation import Evaluation
from provetune.workflow import steps
from provetune.workflow.project import Project, begin_run, open_project
from provetune.workflow.yardstick import yardstick_key, yardstick_of
from tests.unit.records_by_hand import candidate_of

SCHEMA = {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}
CITIES = ("Bern", "Basel", "Lugano", "Geneva")
OWN = "def short(row):\n    return len(row.completion) < 20\n"


def project_of(folder: Path, base: Path, more: str) -> Project:
    rows = [{"prompt": f"Where is order {k}?", "completion": json.dumps({"city": CITIES[k % 4]})} for k in range(40)]
    rows[0]["references"] = ['{"city": "Berne"}']  # type: ignore[assignment]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (folder / "schema.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
    (folder / "own.py").write_text(OWN, encoding="utf-8")
    (folder / "provetune.yaml").write_text(
        f"version: 1\nname: cities\ndata: rows.jsonl\nbase: {base}\ntask: {{type: extract, schema: schema.json}}\n{more}\n",
        encoding="utf-8",
    )
    project = open_project(folder, (), lambda *_: None)
    begin_run(project)
    return project


def measured(project: Project, name: str, texts: dict[int, str]) -> Evaluation:
    """All rows; those not in `texts` are completed with their target."""
    answers = {e.prompt_text: texts.get(place, e.target) for place, e in enumerate(project.examples)}
    candidate = candidate_of(name)
    return steps.evaluate(project, candidate, ScriptedGenerator(answers), project.examples, "validation")


@pytest.fixture
def project(tmp_path: Path, tiny_folder: Path) -> Project:
    return project_of(tmp_path, tiny_folder, "metric: field_f1\nprove: {also: [semantic_similarity, bleu, 'own:short']}")


def test_schema_references_and_own_metrics_reach_the_evaluation(project: Project) -> None:
    found = measured(project, "tuned", {0: '{"city": "Berne"}', 1: '{"town": "Basel"}', 2: "no json", 3: '{"city": "Bern"}'})
    assert list(found.observations) == [
        *("exact_match", "rouge_l", "json_valid", "schema_valid", "field_f1"),
        *("semantic_similarity", "bleu", "own:short"),
    ]
    assert [found.observations["field_f1"][k] for k in range(4)] == [(1.0,), (0.0,), (0.0,), (0.0,)]
    assert [found.observations["schema_valid"][k] for k in range(4)] == [(1.0,), (0.0,), (0.0,), (1.0,)]
    assert found.summary["json_valid"].value == pytest.approx(39 / 40)
    likeness = [row[0] for row in found.observations["semantic_similarity"] if row is not None]
    assert likeness[4:] == [1.0] * 36 and 0 <= likeness[2] < 1
    assert found.metrics["semantic_similarity"].startswith("semantic_similarity/1 vectors:TF-IDF")
    assert found.metrics["own:short"].startswith("own:short/1 code:") and "draft:2020-12" in found.metrics["schema_valid"]


def test_each_of_them_is_compared_and_read_back_without_running_code(project: Project) -> None:
    good, bad = measured(project, "tuned", {}), measured(project, "few-shot", {k: "no json at all, sorry" for k in range(20)})
    (project.folder / "own.py").unlink()
    again = Evaluation.from_json(good.to_json())
    for metric in good.metrics:
        difference = compare(again, bad, metric, 0.95).difference
        assert difference.value is not None and difference.value > 0, metric


def test_a_changed_function_or_schema_is_measured_anew(project: Project) -> None:
    key = yardstick_key(yardstick_of(project, "test"))
    assert yardstick_key(yardstick_of(project, "test")) == key
    (project.folder / "own.py").write_text(OWN.replace("20", "30"), encoding="utf-8")
    changed = yardstick_key(yardstick_of(project, "test"))
    (project.folder / "schema.json").write_text(json.dumps(SCHEMA | {"additionalProperties": False}), encoding="utf-8")
    assert len({key, changed, yardstick_key(yardstick_of(project, "test"))}) == 3


def test_a_new_version_of_any_metric_is_measured_anew(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    found = yardstick_of(project, "test")
    key = yardstick_key(found)
    monkeypatch.setitem(METRICS, "rouge_l", replace(METRICS["rouge_l"], version=METRICS["rouge_l"].version + 1))
    assert yardstick_key(found) != key, "rouge_l is measured beside, for the task, without being named"


def test_a_function_that_is_not_there_is_said(tmp_path: Path, tiny_folder: Path) -> None:
    project = project_of(tmp_path, tiny_folder, "metric: 'gone:f'")
    with pytest.raises(SpecError, match=r"metric gone:f: no gone.py in"):
        yardstick_of(project, "validation")
