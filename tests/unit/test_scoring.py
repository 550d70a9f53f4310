"""Predict and score: a bad completion is 0, none at all is not measured, and both are counted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from provetune.metrics import METRICS
from provetune.models.responses import CachedGenerator, Identity, ResponseCache
from provetune.models.scripted import ScriptedGenerator
from provetune.protocols import Completion, Progress
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Message
from provetune.records.evaluation import Evaluation
from provetune.scoring import Yardstick, estimate_of, group_numbers, measure
from tests.unit.records_by_hand import LABELS, candidate_of, examples_of, measured

ROWS = examples_of(["refund", "billing", "refund", "delivery"])
WRITTEN = ["refund", "no idea", None, "Delivery."]


def test_a_bad_completion_scores_0_and_none_is_not_measured() -> None:
    evaluation, predictions = measured("tuned", WRITTEN, ROWS)
    assert evaluation.observations["accuracy"] == ((1.0,), (0.0,), None, (1.0,))
    assert evaluation.observations["f1_macro"] == ((2.0, 2.0), (0.0, -1.0), None, (1.0, 1.0))
    assert evaluation.not_measured == 1
    assert evaluation.summary["accuracy"].value == pytest.approx(2 / 3) and evaluation.summary["accuracy"].n == 3
    assert [p.text for p in predictions] == WRITTEN
    assert predictions[2].error == "not in the script" and not predictions[2].stopped


def test_predictions_stand_in_the_order_of_the_examples() -> None:
    rows = ROWS[::-1]
    evaluation, predictions = measured("tuned", WRITTEN, rows)
    assert [p.example_id for p in predictions] == ["r3", "r2", "r1", "r0"] == list(evaluation.example_ids)
    assert [p.text for p in predictions] == WRITTEN[::-1]
    assert evaluation.observations["accuracy"] == ((1.0,), None, (0.0,), (1.0,))


def test_the_parse_rate_has_wilsons_interval() -> None:
    rows = examples_of(["refund"] * 50)
    evaluation, _ = measured("tuned", ["billing"] * 48 + ["?"] * 2, rows)
    assert (evaluation.parsed.value, evaluation.parsed.method) == (0.96, "Wilson")
    assert evaluation.parsed.low == pytest.approx(0.865399, abs=1e-6) and evaluation.parsed.high == pytest.approx(0.988961, abs=1e-6)


def test_without_labels_an_empty_text_is_what_does_not_parse() -> None:
    script = ScriptedGenerator({"question 0": "words", "question 1": " ", "question 2": "", "question 3": "more"})
    evaluation, _ = measure(candidate_of("tuned"), script, ROWS, Yardstick("chat", (), "test"), lambda *_: None)
    assert evaluation.parsed.value == 0.5


def test_nothing_measured_is_no_number() -> None:
    evaluation, _ = measured("tuned", [None] * 4, ROWS)
    assert evaluation.not_measured == 4 and evaluation.parsed.value is None
    for estimate in evaluation.summary.values():
        assert (estimate.value, estimate.low, estimate.high, estimate.n) == (None, None, None, 0)


def test_a_task_is_measured_by_its_own_metrics() -> None:
    rows = examples_of(["police killed the gunman"])
    script = ScriptedGenerator({"question 0": "police kill the gunman"})
    evaluation, _ = measure(candidate_of("tuned"), script, rows, Yardstick("generate", (), "validation"), lambda *_: None)
    assert list(evaluation.metrics)[:2] == ["rouge_l", "exact_match"] and evaluation.part == "validation"
    assert evaluation.metrics["exact_match"] == "exact_match/1" and evaluation.metrics["rouge_l"].startswith("rouge_l/1 stemmer:no")
    assert np.array(evaluation.observations["rouge_l"]) == pytest.approx(np.array([[0.75]]))


def test_groups_are_the_units_where_rows_share_one() -> None:
    rows = examples_of(["refund"] * 6, ["a", "a", "b", "b", "c", "c"])
    evaluation, _ = measured("tuned", ["refund", "refund", "billing", "billing", "refund", "billing"], rows)
    assert evaluation.group_ids == ("a", "a", "b", "b", "c", "c") and evaluation.summary["accuracy"].n == 3
    alone, _ = measured("tuned", ["refund"] * 6, examples_of(["refund"] * 6))
    assert alone.group_ids == alone.example_ids and alone.summary["accuracy"].n == 6


def test_group_numbers() -> None:
    assert group_numbers(["a", "b", "c"]) is None and group_numbers([]) is None
    numbers = group_numbers(["b", "a", "b"])
    assert numbers is not None and numbers.tolist() == [1, 0, 1]


def test_a_higher_confidence_is_wider_and_repeatable() -> None:
    evaluation, _ = measured("tuned", ["refund", "billing", "refund", "billing"], ROWS)

    def width(found: Evaluation, confidence: float) -> float:
        estimate = estimate_of(found, "f1_macro", confidence)
        assert estimate.low is not None and estimate.high is not None and estimate.confidence == confidence
        return estimate.high - estimate.low

    assert width(evaluation, 0.99) >= width(evaluation, 0.8)
    again = Evaluation.from_json(evaluation.to_json())
    assert again == evaluation and estimate_of(again, "f1_macro", 0.95) == evaluation.summary["f1_macro"]


def test_likelihoods_of_the_targets_are_asked_for_where_a_metric_needs_them() -> None:
    rows = examples_of(["refund", "billing"])
    further = (METRICS["perplexity"], METRICS["bits_per_byte"])
    known = {"question 0": {"refund": -2.0}}
    script = ScriptedGenerator({"question 0": "refund", "question 1": "refund"}, known)
    yardstick = Yardstick("generate", (), "test", further=further)
    found, _ = measure(candidate_of("tuned"), script, rows, yardstick, lambda *_: None)
    assert found.observations["perplexity"] == ((2.0, 1.0), None) and found.observations["bits_per_byte"] == ((2.0, 6.0), None)
    assert found.summary["perplexity"].value == pytest.approx(np.exp(2.0))


def test_a_candidate_that_gives_no_likelihoods_is_not_measured_by_them() -> None:
    class Endpoint:
        def generate(self, prompts: Sequence[Sequence[Message]], settings: GenerationSettings, progress: Progress) -> list[Completion]:
            return [Completion("refund", 1, 1, True) for _ in prompts]

    yardstick = Yardstick("generate", (), "test", further=(METRICS["perplexity"],))
    found, _ = measure(candidate_of("endpoint"), Endpoint(), examples_of(["refund"]), yardstick, lambda *_: None)
    assert found.observations["perplexity"] == (None,) and found.summary["perplexity"].value is None


def test_completions_that_were_kept_from_an_earlier_call_are_counted(tmp_path: Path) -> None:
    """They took no time, so the seconds are not those of all rows."""
    examples = examples_of(["billing", "refund", "billing"])
    script = {f"question {k}": "billing" for k in range(3)}
    generator = CachedGenerator(ScriptedGenerator(script), ResponseCache(tmp_path / "responses.sqlite"), Identity("a", "", "t"))

    def kept(rows: int) -> int:
        found, _ = measure(candidate_of("tuned"), generator, examples[:rows], Yardstick("classify", LABELS, "test"), lambda *_: None)
        return found.kept

    assert [kept(2), kept(3), kept(3)] == [0, 2, 3]
