"""From votes to the record of agreement: the right columns, pairs, levels; decisions of a third person left out."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats import inter_rater

from provetune.labelling.agreement import agreement, level
from provetune.records.labels import Agreement
from provetune.stats.estimate import Estimate
from tests.unit.labelling.desk import LABELS, held, row, rows, simulated, vote

DATA = rows(120)
NAMES = {"anna": 0.95, "ben": 0.9, "cleo": 0.6}


def test_three_annotators_as_statsmodels_sees_them() -> None:
    votes = simulated(DATA, NAMES)
    found = agreement(DATA, held(votes), 0, LABELS)
    codes = np.array([LABELS.index(one.value or "") for one in votes]).reshape(120, 3)
    table, _ = inter_rater.aggregate_raters(codes, n_cat=3)
    assert found.fleiss is not None and found.fleiss.value == pytest.approx(inter_rater.fleiss_kappa(table))
    assert [(pair.first, pair.second) for pair in found.pairs] == [("anna", "ben"), ("anna", "cleo"), ("ben", "cleo")]
    for pair, (a, b) in zip(found.pairs, ((0, 1), (0, 2), (1, 2)), strict=True):
        both = np.zeros((3, 3))
        np.add.at(both, (codes[:, a], codes[:, b]), 1)
        assert pair.kappa is not None and pair.kappa.value == pytest.approx(inter_rater.cohens_kappa(both, return_results=False))
        assert pair.equal.value == pytest.approx(np.mean(codes[:, a] == codes[:, b])) and pair.equal.n == 120
    assert [one.label for one in found.classes] == list(LABELS)
    assert sum(one.prevalence.value or 0 for one in found.classes) == pytest.approx(1)
    assert (found.rows, found.voted, found.shared, found.scale) == (120, 120, 120, "nominal")
    assert found == Agreement.from_json(found.to_json())


def test_missing_votes_skips_and_decisions() -> None:
    votes = [one for one in simulated(DATA, NAMES) if one.annotator != "cleo" or int(one.example_id[1:]) < 30]
    plain = agreement(DATA, held(votes), 0, LABELS)
    assert plain.fleiss is None and plain.alpha is not None and plain.alpha.n == 120  # unequal numbers: alpha alone
    decided = [*votes, *(vote(one, "dan", "other", decides=True) for one in DATA.values()), vote(DATA["r0"], "eve", None)]
    found = agreement(DATA, held(decided), 3, LABELS)
    assert found.alpha == plain.alpha and found.undecided == 0 < plain.undecided and found.set_aside == 3
    assert [(one.annotator, one.votes, one.skips) for one in found.annotators] == [
        ("anna", 120, 0),
        ("ben", 120, 0),
        ("cleo", 30, 0),
        ("eve", 0, 1),
    ]


def test_one_annotator_or_none_measures_nothing() -> None:
    assert (agreement(DATA, {}, 0, LABELS).alpha or Estimate(1, 1, 1, 1, 1, "")).value is None
    alone = agreement(DATA, held(simulated(DATA, {"anna": 1.0})), 0, LABELS)
    assert alone.level == "not measured" and alone.shared == 0 and alone.pairs == () and alone.voted == 120


def test_ordinal_labels_forgive_neighbours() -> None:
    data = rows(60)
    said = [vote(one, "anna", str(k % 5 + 1)) for k, one in enumerate(data.values())]
    said += [vote(one, "ben", str(min(5, k % 5 + 2))) for k, one in enumerate(data.values())]
    stars = tuple("12345")
    alphas = {scale: agreement(data, held(said), 0, stars, scale).alpha for scale in ("nominal", "ordinal", "interval")}
    values = {scale: alpha.value or 0.0 for scale, alpha in alphas.items() if alpha}
    assert values["nominal"] < 0.1 < 0.6 < values["ordinal"] and values["interval"] > 0.6
    with pytest.raises(ValueError, match="labels that are numbers"):
        agreement(data, held(said), 0, LABELS, "interval")


def test_free_text_has_overlap_instead_of_alpha() -> None:
    data = {"a": row("a"), "b": row("b")}
    said = [vote(data["a"], "anna", "the cat sat"), vote(data["a"], "ben", "the cat sat"), vote(data["b"], "anna", "one two")]
    found = agreement(data, held([*said, vote(data["b"], "ben", "three four")]), 0, ())
    (pair,) = found.pairs
    assert pair.rouge_l is not None and pair.rouge_l.value == pytest.approx(0.5) and pair.kappa is None
    assert (found.alpha, found.scale, found.classes, found.level) == (None, None, (), "not measured")


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.81, 0.9, "reliable"),
        (0.7, 0.95, "tentative"),
        (0.2, 0.6, "revise the guideline"),
        (0.4, 0.9, "not enough shared rows"),
        (None, None, "not measured"),
    ],
)
def test_the_level_is_judged_by_the_interval(low: float | None, high: float | None, said: str) -> None:
    value = None if low is None or high is None else (low + high) / 2
    assert level(Estimate(value, low, high, 40, 0.95, "")) == said
