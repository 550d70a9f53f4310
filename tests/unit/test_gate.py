"""The gate: every kind of rule at its edges, missing evidence, and nothing but its arguments decides."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provetune.gate import Measured, decide
from provetune.records.evaluation import Comparison, Evaluation, GateRule, RuleKind, Verdict
from provetune.stats.estimate import Estimate
from tests.unit.records_by_hand import comparison_of, evaluation_of

AUDIT = GateRule(name="audit", kind="audit")


def rule(kind: RuleKind, margin: float, baseline: str = "few-shot") -> GateRule:
    return GateRule(name=f"{kind} {baseline}", kind=kind, metric="accuracy", baseline=baseline, margin=margin)


def known(
    comparisons: Sequence[Comparison] = (), champion: Evaluation | None = None, blockers: Sequence[str] = (), opening: int = 1
) -> Measured:
    return Measured(champion or evaluation_of("tuned"), [], comparisons, blockers, opening, 1 - 0.05 / opening)


def verdict(one: GateRule, measured: Measured) -> Verdict:
    [found] = decide([one], measured).verdicts
    assert found.rule == one and found.reason
    return found


@pytest.mark.parametrize(
    ("kind", "margin", "low", "high", "outcome"),
    [
        ("beats_baseline", 0.02, 0.021, 0.2, "pass"),
        ("beats_baseline", 0.02, 0.02, 0.2, "inconclusive"),  # on the margin: not better by more than it
        ("beats_baseline", 0.02, 0.0, 0.2, "inconclusive"),
        ("beats_baseline", 0.02, -0.3, 0.02, "inconclusive"),
        ("beats_baseline", 0.02, -0.3, 0.019, "fail"),
        ("beats_baseline", 0.0, 0.001, 0.2, "pass"),
        ("beats_baseline", 0.0, 0.0, 0.0, "inconclusive"),
        ("not_worse_than", 0.05, -0.049, 0.0, "pass"),
        ("not_worse_than", 0.05, -0.05, 0.0, "inconclusive"),
        ("not_worse_than", 0.05, -0.2, -0.05, "inconclusive"),
        ("not_worse_than", 0.05, -0.2, -0.051, "fail"),
    ],
)
def test_a_comparison_is_judged_by_its_bounds(kind: RuleKind, margin: float, low: float, high: float, outcome: str) -> None:
    measured = known([comparison_of("few-shot", ((low + high) / 2, low, high))])
    found = verdict(rule(kind, margin), measured)
    assert found.outcome == outcome and found.observed == measured.comparisons[0].difference


@pytest.mark.parametrize(
    ("kind", "low", "high", "outcome"),
    [
        ("at_least", 0.8, 0.9, "pass"),
        ("at_least", 0.79, 0.9, "inconclusive"),
        ("at_least", 0.7, 0.8, "inconclusive"),
        ("at_least", 0.7, 0.79, "fail"),
        ("at_most", 0.7, 0.8, "pass"),
        ("at_most", 0.7, 0.81, "inconclusive"),
        ("at_most", 0.8, 0.9, "inconclusive"),
        ("at_most", 0.81, 0.9, "fail"),
    ],
)
def test_a_value_is_judged_by_its_bounds(kind: RuleKind, low: float, high: float, outcome: str) -> None:
    champion = evaluation_of("tuned", summary={"accuracy": ((low + high) / 2, low, high)})
    assert verdict(rule(kind, 0.8), known(champion=champion)).outcome == outcome


@pytest.mark.parametrize(("blockers", "outcome"), [((), "pass"), (("conflicting labels",), "fail")])
def test_the_audit_blocks(blockers: tuple[str, ...], outcome: str) -> None:
    found = verdict(AUDIT, known(blockers=blockers))
    assert found.outcome == outcome and all(name in found.reason for name in blockers)


class TestMissingEvidence:
    def test_no_comparison(self) -> None:
        found = verdict(rule("beats_baseline", 0.02), known([comparison_of("zero-shot", (0.2, 0.1, 0.3))]))
        assert (found.outcome, found.observed, found.more_examples) == ("inconclusive", None, None)
        assert "no comparison with few-shot" in found.reason

    def test_a_comparison_of_another_metric(self) -> None:
        other = comparison_of("few-shot", (0.2, 0.1, 0.3)).model_copy(update={"metric": "f1_macro"})
        assert verdict(rule("beats_baseline", 0.02), known([other])).outcome == "inconclusive"

    def test_a_comparison_of_nothing(self) -> None:
        assert verdict(rule("beats_baseline", 0.02), known([comparison_of("few-shot", (None, None, None), 0, 0)])).outcome == "inconclusive"

    @pytest.mark.parametrize(("compared", "outcome"), [(98, "pass"), (97, "inconclusive")])  # 2 % of 100 rows may be missing
    def test_too_many_rows_not_measured(self, compared: int, outcome: str) -> None:
        found = verdict(rule("beats_baseline", 0.02), known([comparison_of("few-shot", (0.2, 0.1, 0.3), compared)]))
        assert found.outcome == outcome
        assert outcome == "pass" or found.reason == "3 of 100 rows were not measured"

    @pytest.mark.parametrize(("missing", "outcome"), [(2, "pass"), (3, "inconclusive")])
    def test_too_many_rows_not_measured_for_a_threshold(self, missing: int, outcome: str) -> None:
        champion = evaluation_of("tuned", not_measured=missing, summary={"accuracy": (0.95, 0.9, 1.0)})
        assert verdict(rule("at_least", 0.8), known(champion=champion)).outcome == outcome

    def test_a_metric_that_was_not_measured(self) -> None:
        assert verdict(rule("at_least", 0.8), known()).outcome == "inconclusive"


def at(confidence: float, low: float, high: float, n: int = 100, method: str = "by hand") -> Comparison:
    found = comparison_of("few-shot", ((low + high) / 2, low, high))
    return found.model_copy(update={"difference": Estimate((low + high) / 2, low, high, n, confidence, method)})


class TestWhichInterval:
    wide, narrow = at(0.95, -0.06, 0.1), at(0.9, -0.04, 0.08)

    @pytest.mark.parametrize("order", [1, -1])
    def test_not_worse_reads_the_ninety_percent_interval_and_a_gain_the_other(self, order: int) -> None:
        measured = known([self.wide, self.narrow][::order])
        assert verdict(rule("not_worse_than", 0.05), measured).observed == self.narrow.difference
        assert verdict(rule("beats_baseline", 0.02), measured).observed == self.wide.difference

    def test_a_narrower_interval_than_the_opening_allows_is_not_taken(self) -> None:
        # at the second opening one-sided 97.5 %, which is 95 % two-sided
        second = known([self.wide, self.narrow], opening=2)
        assert verdict(rule("not_worse_than", 0.05), second).observed == self.wide.difference
        assert verdict(rule("not_worse_than", 0.05), known([self.narrow], opening=2)).outcome == "inconclusive"

    @pytest.mark.parametrize(
        ("groups", "outcome", "words"), [(9, "inconclusive", "only 9 groups"), (10, "pass", "rests on 10 groups only"), (20, "pass", "")]
    )
    def test_few_groups_are_said_and_too_few_settle_nothing(self, groups: int, outcome: str, words: str) -> None:
        found = verdict(rule("beats_baseline", 0.02), known([at(0.95, 0.1, 0.3, groups, "cluster BCa bootstrap")]))
        assert found.outcome == outcome and words in found.reason and ("groups" in found.reason) == bool(words)
        value = Estimate(0.95, 0.9, 1.0, groups, 0.95, "cluster BCa bootstrap")
        champion = evaluation_of("tuned").model_copy(update={"summary": {"accuracy": value}})
        assert verdict(rule("at_least", 0.8), known(champion=champion)).outcome == outcome


class TestDecision:
    better = comparison_of("few-shot", (0.2, 0.1, 0.3))
    worse = comparison_of("zero-shot", (-0.2, -0.3, -0.1))
    open_ = comparison_of("linear", (0.03, -0.05, 0.11))

    @pytest.mark.parametrize(
        ("names", "outcome"),
        [
            (["few-shot"], "ship"),
            (["few-shot", "linear"], "inconclusive"),
            (["few-shot", "zero-shot"], "hold"),
            (["linear", "zero-shot"], "hold"),  # a shown failure outweighs what is open
            (["few-shot", "never measured"], "inconclusive"),
        ],
    )
    def test_all_rules_together(self, names: list[str], outcome: str) -> None:
        rules = [*(rule("beats_baseline", 0.02, name) for name in names), AUDIT]
        found = decide(rules, known([self.better, self.worse, self.open_]))
        assert found.outcome == outcome and found.champion == "tuned"
        assert [v.rule for v in found.verdicts] == rules and found.sentence and found.next_step

    def test_a_blocking_audit_holds_the_best_model(self) -> None:
        found = decide([rule("beats_baseline", 0.02), AUDIT], known([self.better], blockers=["leaked rows"]))
        assert found.outcome == "hold" and "leaked rows" in found.sentence

    def test_without_rules_nothing_is_proven(self) -> None:
        assert decide([], known([self.better])).outcome == "inconclusive"
        assert decide([AUDIT], known([self.better])).outcome == "inconclusive"

    def test_a_stronger_candidate_beside_is_named(self) -> None:
        alone = decide([rule("beats_baseline", 0.02)], known([self.better, self.open_]))
        assert "linear" not in alone.sentence  # not shown to be better
        beside = comparison_of("linear", (-0.1, -0.15, -0.05))
        found = decide([rule("beats_baseline", 0.02)], known([self.better, beside]))
        assert found.outcome == "ship" and "But linear, which no rule names, is better" in found.sentence
        assert found.next_step != alone.next_step

    @pytest.mark.parametrize("opening", [1, 2, 5])
    def test_the_opening_stands_in_the_decision(self, opening: int) -> None:
        found = decide([rule("beats_baseline", 0.02)], known([self.better], opening=opening))
        assert (found.opening, found.confidence) == (opening, 1 - 0.05 / opening)

    def test_the_same_evidence_gives_the_same_decision(self) -> None:
        rules = (rule("beats_baseline", 0.02), rule("beats_baseline", 0.02, "linear"), AUDIT)
        measured = known([self.better, self.open_])
        before = [c.fingerprint if isinstance(c, Evaluation) else c.model_dump_json() for c in (measured.champion, *measured.comparisons)]
        first, second = decide(rules, measured), decide(rules, measured)
        assert first == second and first.to_json() == second.to_json()
        after = [c.fingerprint if isinstance(c, Evaluation) else c.model_dump_json() for c in (measured.champion, *measured.comparisons)]
        assert before == after


class TestMoreExamples:
    def test_only_where_nothing_is_settled(self) -> None:
        settled = verdict(rule("beats_baseline", 0.02), known([comparison_of("few-shot", (0.2, 0.1, 0.3))]))
        assert settled.more_examples is None

    def test_the_number_follows_from_the_half_width(self) -> None:
        # half-width .08, distance .04: four times the examples, so 300 more
        found = verdict(rule("beats_baseline", 0.02), known([comparison_of("few-shot", (0.06, -0.02, 0.14))]))
        assert found.more_examples in (300, 301)

    def test_none_where_the_difference_stands_on_the_margin(self) -> None:
        found = verdict(rule("beats_baseline", 0.02), known([comparison_of("few-shot", (0.02, -0.02, 0.06))]))
        assert found.outcome == "inconclusive" and found.more_examples is None

    @given(
        value=st.floats(-0.5, 0.5), below=st.floats(0, 0.5), above=st.floats(0, 0.5), rows=st.integers(20, 5000), margin=st.floats(0, 0.2)
    )
    def test_more_examples_are_always_more(self, value: float, below: float, above: float, rows: int, margin: float) -> None:
        measured = known([comparison_of("few-shot", (value, value - below, value + above), rows)], evaluation_of("tuned", rows))
        for kind in ("beats_baseline", "not_worse_than"):
            found = verdict(GateRule.model_validate({**rule("beats_baseline", margin).model_dump(), "kind": kind}), measured)
            assert found.more_examples is None or (found.outcome == "inconclusive" and found.more_examples >= 1)
