"""Rules about groups and slices: judged by the bound of the harm; the words say what to do."""

from __future__ import annotations

import pytest

from provetune.gate import Measured, decide
from provetune.records.evaluation import Decision, GateRule
from provetune.records.fairness import FairnessPanel, PanelStatus
from provetune.stats.estimate import Estimate
from tests.unit.records_by_hand import comparison_of, evaluation_of

ALIKE = GateRule(name="alike", kind="not_worse_than", metric="gender", baseline="the base", margin=0.05, panel="counterfactual")
BETTER = GateRule(name="better", kind="beats_baseline", metric="accuracy", baseline="few-shot", margin=0.02)


def panel(low: float, high: float, status: PanelStatus = "judged", not_measured: int = 0, kind: str = "flips") -> FairnessPanel:
    share = Estimate(0.1, 0.05, 0.15, 400, 0.95, "by hand")
    harm = Estimate((low + high) / 2, low, high, 400, 0.9, "by hand")
    made = {"kind": kind, "panel": "counterfactual", "name": "gender", "measure": "flips", "status": status, "margin": 0.05}
    return FairnessPanel.model_validate({**made, "before": share, "after": share, "harm": harm, "rows": 400, "not_measured": not_measured})


def decision(*panels: FairnessPanel) -> Decision:
    measured = Measured(evaluation_of("tuned"), [], [comparison_of("few-shot", (0.1, 0.05, 0.15))], [], 1, 0.95, fairness=panels)
    return decide([BETTER, ALIKE], measured)


@pytest.mark.parametrize(
    ("found", "outcome", "decided"),
    [
        (panel(-0.01, 0.049), "pass", "ship"),
        (panel(0.051, 0.2), "fail", "hold"),
        (panel(0.01, 0.051), "inconclusive", "inconclusive"),
        (panel(0.05, 0.2), "inconclusive", "inconclusive"),
        (panel(0.06, 0.2, "too small to judge"), "not judged", "ship"),
        (panel(0.06, 0.2, "not measurable"), "not judged", "ship"),
        (panel(-0.01, 0.02, not_measured=20), "inconclusive", "inconclusive"),
    ],
)
def test_harm_is_judged_by_its_bounds(found: FairnessPanel, outcome: str, decided: str) -> None:
    made = decision(found)
    assert made.verdicts[1].outcome == outcome and made.outcome == decided


def test_the_words_name_the_group_and_the_remedy() -> None:
    held = decision(panel(0.06, 0.2))
    assert "gender, flips: harm" in held.sentence and held.next_step.startswith("Balance the training rows")
    assert "no harm by gender" in decision(panel(-0.01, 0.02)).sentence
    assert decision(panel(0.01, 0.06)).next_step.startswith("Add test rows")


def test_a_gap_is_no_evidence_for_the_rule_and_an_absent_panel_is_inconclusive() -> None:
    assert decision(panel(0.5, 0.6, kind="gap")).outcome == "inconclusive"
    assert decision().verdicts[1].reason == "gender was not measured"
