"""A family is one literal dict. What else speaks of its members (project file, plan, report, pages) knows each, or is named here."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from provetune.audit import CHECKS
from provetune.metrics import METRICS
from provetune.planning.hyperparameters import LARGE_MODEL, NAMES, SMALL_MODEL
from provetune.planning.time import FLOPS_PER_WEIGHT
from provetune.prompting.strategies import MORE_THAN_A_TEXT
from provetune.prompting.templates import load_templates
from provetune.records.candidate import PARTS, Method
from provetune.report.words import METHOD_WORDS
from provetune.spec import TrainSpec
from provetune.spec.metrics import MetricName
from provetune.tuning.methods import METHODS
from tests.architecture.source import ROOT

ASKED_BESIDE = {"head"}  # a method without a row of its own in some tables: a layer on the frozen base, not a tuning of its weights


def names_on(page: str) -> set[str]:
    """The names that this page speaks of, as code."""
    return set(re.findall(r"`([^`\n]+)`", (ROOT / "docs" / page).read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("family", "page"),
    [(METRICS, "metrics.md"), (CHECKS, "data.md"), (PARTS, "prompting.md"), (METHODS, "training.md")],
    ids=["metrics", "checks", "strategies", "methods"],
)
def test_every_member_is_on_its_page(family: object, page: str) -> None:
    members = list(family)  # type: ignore[call-overload]
    missing = set(members) - names_on(page)
    assert len(members) > 4 and not missing, f"docs/{page} does not speak of {sorted(missing)}"


def test_the_project_file_takes_every_metric() -> None:
    assert set(METRICS) == set(get_args(MetricName)), "METRICS and MetricName of spec/metrics.py name different metrics"


def test_every_part_of_a_strategy_is_a_text_or_has_code() -> None:
    texts = set(load_templates())
    assert set(PARTS) > MORE_THAN_A_TEXT
    assert set(PARTS) - MORE_THAN_A_TEXT <= texts, "a part is a text of its name in prompting/templates/, or in MORE_THAN_A_TEXT"


@pytest.mark.parametrize(
    ("table", "place"),
    [
        (METHODS, "METHODS of tuning/methods.py"),
        (FLOPS_PER_WEIGHT, "FLOPS_PER_WEIGHT of planning/time.py"),
        *((table, "the rates of planning/hyperparameters.py") for table in (SMALL_MODEL.learning_rate, LARGE_MODEL.learning_rate)),
        *((table, "the sources of planning/hyperparameters.py") for table in (SMALL_MODEL.sources, LARGE_MODEL.sources)),
        (NAMES, "NAMES of planning/hyperparameters.py"),
        (METHOD_WORDS, "METHOD_WORDS of report/words.py"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_method_is_known_to_plan_and_report(table: dict[str, object], place: str) -> None:
    assert set(table) <= set(get_args(Method)) <= set(table) | ASKED_BESIDE, place


def test_the_project_file_takes_every_method() -> None:
    assert set(get_args(TrainSpec.model_fields["method"].annotation)) == {"auto", *get_args(Method)}
