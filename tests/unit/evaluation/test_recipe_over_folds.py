"""A recipe over folds: the comparison and the values that its verdict rests on."""

from __future__ import annotations

import numpy as np
import pytest

from provetune.errors import DataError
from provetune.evaluation import compare_over_folds, summary_over_folds
from provetune.gate import Measured
from provetune.records.evaluation import Comparison, Evaluation, GateRule
from provetune.split import folds
from provetune.stats.estimate import Estimate
from provetune.stats.folds import fold_difference
from provetune.workflow.recipe import outlook
from tests.unit.records_by_hand import comparison_of, evaluation_of, examples_of, measured

LABELS = ["billing", "delivery", "refund"] * 40
EXAMPLES = examples_of(LABELS)
FOLD_OF = {example.id: place % 5 for place, example in enumerate(EXAMPLES)}


def completed(name: str, right: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Evaluation:
    return measured(name, [label if ok else "no idea" for label, ok in zip(LABELS, right, strict=True)], EXAMPLES)[0]


def test_the_comparison_counts_rows_and_takes_the_interval_of_the_folds() -> None:
    draw = np.random.default_rng(3)
    ours, theirs = draw.random(120) < 0.9, draw.random(120) < 0.6
    found = compare_over_folds(completed("recipe", ours), completed("zero-shot", theirs), FOLD_OF, "accuracy", 0.95)
    differences = ours.astype(float) - theirs.astype(float)
    assert (found.wins, found.ties, found.losses) == tuple(
        int(n) for n in ((differences > 0).sum(), (differences == 0).sum(), (differences < 0).sum())
    )
    assert found.difference == fold_difference(differences, np.arange(120) % 5, None, 0.95, bounds=(-1.0, 1.0)) and found.p_value is None


def test_a_metric_of_all_rows_at_once_has_a_value_and_no_interval_over_folds() -> None:
    one = completed("recipe", np.arange(120) % 4 != 0)
    assert str(summary_over_folds(one, FOLD_OF, "accuracy", 0.95)).startswith("0.750 [")
    macro = summary_over_folds(one, FOLD_OF, "f1_macro", 0.95)
    assert macro.value is not None and macro.low is None and macro.high is None


def test_folds_keep_groups_whole_and_labels_even_and_stay_the_same() -> None:
    groups: list[str | None] = [f"g{k // 2}" if k < 30 else None for k in range(120)]
    examples = examples_of(LABELS, groups)
    found = folds(examples, 5, 7)
    assert found == folds(list(reversed(examples)), 5, 7) and set(found.values()) == set(range(5))
    assert all(found[f"r{k}"] == found[f"r{k + 1}"] for k in range(0, 30, 2))
    for label in set(LABELS):
        held = [sum(found[e.id] == fold for e in examples if e.label == label) for fold in range(5)]
        assert max(held) - min(held) <= 2
    with pytest.raises(DataError, match="3 groups"):
        folds(examples_of(LABELS[:6], ["a", "a", "b", "b", "c", "c"]), 5, 7)


RULES = [GateRule(name="a", kind="beats_baseline", metric="accuracy", baseline="few-shot", margin=0.02)]


def judged(*comparisons: Comparison) -> Measured:
    return Measured(evaluation_of("recipe"), [], comparisons, (), 1, 0.95)


def test_the_outlook_names_the_rows_that_a_test_split_would_need() -> None:
    seen = comparison_of("few-shot", (0.07, -0.02, 0.16), rows=200, wins=27).model_copy(update={"losses": 13, "ties": 160})
    beside = comparison_of("linear", (-0.2, -0.3, -0.1))  # no rule names it
    # 623 test rows: Connor (1987) for a gain of 0.07 beyond 0.02 where 20 % differ
    assert "about 623 test rows: 1,246 rows in all; there are 200." in outlook(200, judged(seen, beside), RULES)
    none = seen.model_copy(update={"difference": Estimate(0.01, -0.1, 0.1, 200, 0.95, "t")})
    assert "no number of rows" in outlook(200, judged(none), RULES)
