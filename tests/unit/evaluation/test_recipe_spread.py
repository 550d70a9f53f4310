"""Seeds and folds, from evaluations as a run makes them."""

from __future__ import annotations

import numpy as np
import pytest

from provetune.errors import EvidenceError
from provetune.evaluation import compare, over_folds, over_seeds
from provetune.records.evaluation import Evaluation
from tests.unit.records_by_hand import examples_of, measured
from tests.unit.stats.known import known

ROWS = examples_of(["refund", "billing", "delivery", "refund"] * 15)
RIGHT = [row.target for row in ROWS]


def right_on(name: str, share: float, seed: int = 0) -> Evaluation:
    hit = np.random.default_rng(seed).random(len(ROWS)) < share
    return measured(name, [text if ok else "?" for text, ok in zip(RIGHT, hit, strict=True)], ROWS)[0]


def test_several_seeds_stand_beside_the_artefact() -> None:
    baseline = right_on("few-shot", 0.5, 9)
    trainings = [right_on("tuned", share, k) for k, share in enumerate((0.75, 0.85, 0.95))]
    found = over_seeds(trainings, baseline, "accuracy", 0.95)
    each = [compare(one, baseline, "accuracy", 0.95).difference.value for one in trainings]
    assert found.of_each_seed == pytest.approx(each) and found.between_seeds > 0.02
    assert found.recipe.value == pytest.approx(np.mean([value for value in each if value is not None]))
    with pytest.raises(EvidenceError, match="f1_macro is no mean of scores"):
        over_seeds(trainings, baseline, "f1_macro", 0.95)
    with pytest.raises(EvidenceError, match="different examples"):
        over_seeds(trainings, measured("few-shot", RIGHT[:-1], ROWS[:-1])[0], "accuracy", 0.95)


def test_out_of_fold_predictions() -> None:
    ours = measured("recipe", [None if k == 0 else text for k, text in enumerate(RIGHT)], ROWS)[0]
    baseline, folds = right_on("few-shot", 0.5), {row.id: k % 5 for k, row in enumerate(ROWS)}
    found = over_folds(ours, baseline, folds, "accuracy", 0.95)
    whole = compare(ours, baseline, "accuracy", 0.95).difference
    assert found.value == pytest.approx(whole.value) and found.n == 59
    assert known(found)[2] - known(found)[1] > known(whole)[2] - known(whole)[1]
    with pytest.raises(EvidenceError, match="example r0 is in no fold, and so are 0 more"):
        over_folds(ours, baseline, {name: fold for name, fold in folds.items() if name != "r0"}, "accuracy", 0.95)
