"""Metrics of the project file: the names are those of the table, and what cannot be measured is refused."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from provetune.errors import SpecError
from provetune.metrics import METRICS
from provetune.spec import ProjectSpec
from provetune.spec.metrics import NEVER_DECIDES, WITH_LABELS, MetricName
from provetune.spec.text import load_spec


def loaded(folder: Path, task: str, more: str) -> ProjectSpec:
    (folder / "provetune.yaml").write_text(f"version: 1\nname: a\ndata: rows.jsonl\ntask: {task}\n{more}\n", encoding="utf-8")
    return load_spec(folder / "provetune.yaml")


def test_the_names_are_those_of_the_table() -> None:
    assert get_args(MetricName) == tuple(METRICS)
    assert {name for name, metric in METRICS.items() if "labels" in metric.needs} == WITH_LABELS
    # a difference that is an improvement when it is negative has no margin in points
    assert set(NEVER_DECIDES) == {name for name, metric in METRICS.items() if not metric.higher_is_better}


@pytest.mark.parametrize(
    ("task", "more", "says"),
    [
        ("chat", "metric: mcc", "metric mcc needs labels, task chat has none"),
        ("chat", "prove: {also: [f1_micro]}", "metric f1_micro needs labels, task chat has none"),
        ("classify", "metric: ece", "metric ece .* it cannot decide; name it in prove.also"),
        ("chat", "metric: perplexity", "metric perplexity needs log-likelihoods.* name it in prove.also"),
        ("extract", "metric: schema_valid", "needs a JSON Schema; name its file in task.schema"),
        ("classify", "metric: f1_makro", "provetune.yaml:5: metric: found 'f1_makro', wanted .*; did you mean 'f1_macro'?"),
        ("chat", "metric: my/metrics:f", "metric: found 'my/metrics:f', wanted MODULE:FUNCTION or"),
    ],
)
def test_what_cannot_be_measured_is_refused(tmp_path: Path, task: str, more: str, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        loaded(tmp_path, task, more)


def test_metrics_of_all_kinds_are_accepted(tmp_path: Path) -> None:
    spec = loaded(tmp_path, "{type: extract, schema: s.json}", "metric: schema_valid\nprove: {also: [field_f1, own.tone:calm, bleu]}")
    assert (spec.metric, spec.prove.also) == ("schema_valid", ["field_f1", "own.tone:calm", "bleu"])
    assert loaded(tmp_path, "classify", "prove: {also: brier, metric: mcc}").prove.also == ["brier"]
