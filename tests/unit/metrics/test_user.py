"""A metric of the user's own: from the project's folder, in bounds, with errors that say what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from provetune.errors import SpecError
from provetune.metrics import measured_by, metric_named
from provetune.metrics.base import Row
from provetune.metrics.user import user_metric

CODE = """
from __future__ import annotations

import math
from dataclasses import dataclass

@dataclass
class _Wish:
    word: str = "please"

def polite(row):
    return float(_Wish().word in row.completion)

def nothing(row):
    return None

def too_much(row):
    return 7

def not_a_number(row):
    return math.nan

def text(row):
    return "good"

def fails(row):
    return row.completion[99]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my_metrics.py").write_text(CODE, encoding="utf-8")
    return tmp_path


def test_a_function_of_the_projects_folder(folder: Path) -> None:
    metric = user_metric("my_metrics:polite", folder)
    assert (metric.name, metric.kind, metric.bounds) == ("my_metrics:polite", "mean", (0.0, 1.0))
    assert metric.observe(Row("", "yes please")) == (1.0,) and metric.observe(Row("", "no")) == (0.0,)
    assert user_metric("my_metrics:nothing", folder).observe(Row("", "")) is None
    before = metric.signature(())
    (folder / "my_metrics.py").write_text(CODE + "\n# changed\n", encoding="utf-8")
    assert before.startswith("code:") and user_metric("my_metrics:polite", folder).signature(()) != before


def test_a_function_of_a_package_in_the_folder(folder: Path) -> None:
    (folder / "own").mkdir()
    (folder / "own" / "__init__.py").touch()
    (folder / "own" / "tone.py").write_text("def calm(row): return 0.5\n", encoding="utf-8")
    assert user_metric("own.tone:calm", folder).observe(Row("", "")) == (0.5,)


def test_a_function_of_an_installed_module(tmp_path: Path) -> None:
    assert user_metric("provetune.metrics.base:always", tmp_path).observe(Row("", "")) == (1.0,)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("my_metrics", "wanted MODULE:FUNCTION"),
        ("../x:f", "wanted MODULE:FUNCTION"),
        ("my_metrics:polit", "has no function 'polit'; it has dataclass, fails, not_a_number, nothing, polite, text, too_much"),
        ("my_metrics:math", "has no function 'math'"),
        ("missing_one:f", "no missing_one.py in .* and no installed module"),
        ("broken:f", r"broken.py failed while it was read \(SyntaxError"),
        ("needs:f", "needs 'no_such_package', which is not installed"),
        ("leads_out:f", "leads out of the project's folder"),
    ],
)
def test_what_cannot_be_loaded_is_said(folder: Path, path: str, says: str) -> None:
    (folder / "broken.py").write_text("def f(:\n", encoding="utf-8")
    (folder / "needs.py").write_text("import no_such_package\n", encoding="utf-8")
    outside = folder.parent / f"{folder.name}_outside.py"
    outside.write_text("def f(row): return 1\n", encoding="utf-8")
    (folder / "leads_out.py").symlink_to(outside)
    with pytest.raises(SpecError, match=says):
        user_metric(path, folder)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("too_much", "gave 7; wanted a number from 0 to 1"),
        ("not_a_number", "gave nan"),
        ("text", "gave 'good'"),
        ("fails", r"failed on the completion 'x' \(IndexError"),
    ],
)
def test_a_score_that_is_none_stops_with_its_name(folder: Path, name: str, says: str) -> None:
    with pytest.raises(SpecError, match=f"metric my_metrics:{name} {says}"):
        user_metric(f"my_metrics:{name}", folder).observe(Row("", "x"))


def test_stored_observations_are_read_without_running_code() -> None:
    metric = metric_named("gone_module:f")
    assert metric.kind == "mean" and metric.higher_is_better
    with pytest.raises(SpecError, match="was not loaded"):
        metric.observe(Row("", ""))


def test_further_metrics_stand_behind_those_of_the_task_each_once(folder: Path) -> None:
    further = (metric_named("rouge_l"), user_metric("my_metrics:polite", folder), metric_named("bleu"))
    names = [metric.name for metric in measured_by("generate", [Row("a", "b")], further)]
    assert names == ["rouge_l", "exact_match", "token_f1", "chrf", "my_metrics:polite", "bleu"]
    with_schema = [metric.name for metric in measured_by("extract", [Row('{"a": 1}', "", schema="{}")])]
    assert with_schema == ["exact_match", "rouge_l", "json_valid", "schema_valid", "field_f1"]
