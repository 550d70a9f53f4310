"""The claims in the report: each in its row, none hidden, and "enough" from the learning curve of the same rows."""

from __future__ import annotations

from dataclasses import replace

from provetune.records.curve import Forecast, LearningCurve
from provetune.records.data import AuditReport, Claim
from provetune.report.claims import claims_with, worst
from provetune.report.html import render_report
from provetune.stats.estimate import Estimate
from tests.unit.report.factory import inputs_of
from tests.unit.report.tree import section_of, tree_of, words_of

CLAIMS = (
    Claim(
        name="relevant", outcome="pass", reason="All near.", what="share", value=Estimate(0.95, 0.93, 0.97, 500, 0.95, "Wilson"), limit=0.9
    ),
    Claim(name="accurate", outcome="fail", reason="<b>Wrong</b> labels.", evidence_ids=("r1", "r2")),
    Claim(name="enough", outcome="inconclusive", reason="Not measured: no curve.", what="gain"),
)


def curve(dataset: str, *, proxy: bool = False) -> LearningCurve:
    gain = Estimate(0.01, 0.004, 0.02, 5, 0.8, "calibrated")
    return LearningCurve.model_validate(
        {
            **dict.fromkeys(LearningCurve.model_fields),
            "dataset": dataset,
            "metric": "accuracy",
            "candidate": "linear",
            "proxy": proxy,
            "rows": 400,
            "validation_rows": 100,
            "points": (),
            "refused": "",
            "forecasts": (
                Forecast(rows=1600, value=gain, gain=gain, red_flag=False),
                Forecast(rows=800, value=gain, gain=gain, red_flag=False),
            ),
            "needed": (),
            "outcome": "pass",
            "sentence": "Stop collecting.",
            "noisy": (),
            "seconds": 0.0,
        }
    )


def audited() -> AuditReport:
    return inputs_of(rows=60).audit.model_copy(update={"claims": CLAIMS})


def test_the_worst_claim_decides_and_none_is_hidden() -> None:
    page = render_report(replace(inputs_of(rows=60), audit=audited()))
    words = words_of(section_of(tree_of(page), "claims"))
    assert "At least one claim is refuted." in words
    for text in ("0.950 [0.930, 0.970], n=500", "All near.", "<b>Wrong</b> labels.", "r1, r2", "not measured", "no mixed score"):
        assert text in words
    assert worst(CLAIMS) == "fail"
    assert worst(()) is None
    assert "No claim was judged." in words_of(section_of(tree_of(render_report(inputs_of(rows=60))), "claims"))


def test_a_learning_curve_of_the_same_rows_fills_in_enough() -> None:
    report = audited()
    *others, enough = claims_with(report, curve(report.dataset, proxy=True))
    assert tuple(others) == CLAIMS[:2]
    assert (enough.outcome, enough.what) == ("pass", "gain in accuracy from 800 rows instead of 400")
    assert enough.value is not None
    assert "stand-in" in enough.reason
    assert claims_with(report, curve("other rows")) == claims_with(report, None) == CLAIMS
