"""The report shows every training of a search, also those that failed."""

from __future__ import annotations

from dataclasses import replace

from provetune.records.tuning_search import TuningSearch, TuningTrial, Values
from provetune.report.html import render_report
from tests.unit.report.factory import inputs_of


def test_every_training_stands_in_the_report() -> None:
    values: Values = {"learning_rate": 0.00123, "r": 8, "alpha": 16}
    done = TuningTrial(number=0, rung=0, rows=100, seed=1, values=values, state="done", score=0.875, loss=1.25)
    failed = TuningTrial(number=1, rung=0, rows=100, seed=1, values=values, state="failed", note="the <b>loss</b> overflows")
    search = TuningSearch(
        method="lora",
        metric="accuracy",
        seed=1,
        space={"learning_rate": (1e-4, 1e-2), "lora.r": (8, 16)},
        rung_rows=(100, 300),
        trials=(done, failed),
        start=values,
        winner=values,
        winner_number=0,
        tokens=5,
        seconds=3.0,
        stopped_because="all configurations tried",
    )
    page = render_report(replace(inputs_of(rows=200), tuning_searches=(search,)))
    assert "2 configurations in 2 trainings" in page and "<td>0.875</td><td>1.2500</td>" in page and "<td>0.00123</td>" in page
    assert "failed: the &lt;b&gt;loss&lt;/b&gt; overflows" in page
