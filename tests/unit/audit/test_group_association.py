"""Labels that hang on groups of people: planted ones are found, p-values and intervals are those of other libraries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import fisher_exact
from statsmodels.stats.contingency_tables import Table2x2
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep

from provetune.audit.group_association import associations, difference, odds_ratio
from provetune.records.data import Example
from provetune.spec import TaskSpec
from provetune.stats.proportion import wilson
from tests.unit.audit.rows import NOUNS, VERBS, clean, example, found, inputs, only


def applications(share_of_women: float, share_of_men: float, rows: int = 200) -> list[Example]:
    """Half the rows name a woman, half a man; a share of each is refused."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(rows):
        woman = number % 2 == 0
        words = " ".join(rng.choice(NOUNS + VERBS, 5))
        refused = (number // 2) < (share_of_women if woman else share_of_men) * rows / 2
        made.append(example(number, f"{'She' if woman else 'He'} {words} {number}", "refuse" if refused else "grant"))
    return made


def test_a_planted_association_is_found() -> None:
    finding = only(found("group_association", inputs(applications(0.6, 0.2))))
    assert finding.severity == "warning"
    assert "women" in finding.message
    assert "60% of the 100 rows" in finding.message
    named = {row.id for row in applications(0.6, 0.2)}
    assert set(finding.example_ids) <= named


def test_equal_shares_are_silent() -> None:
    assert found("group_association", inputs(applications(0.4, 0.4))) == []
    assert found("group_association", inputs(clean())) == []


def test_p_values_are_fishers_and_adjusted_by_benjamini_and_hochberg() -> None:
    rows = applications(0.5, 0.35)
    tested = associations(inputs(rows))
    assert {(pair.group[1], pair.label) for pair in tested} == {(g, label) for g in ("women", "men") for label in ("grant", "refuse")}
    raw = [fisher_exact(np.array([[50, 50], [35, 65]])).pvalue] * 4  # two groups and two labels give the same table four times
    assert [pair.p for pair in tested] == pytest.approx(multipletests(raw, method="fdr_bh")[1])
    women = next(pair for pair in tested if pair.group[1] == "women" and pair.label == "refuse")
    assert (women.with_group.value, women.without_group.value) == (0.5, 0.35)


def test_fewer_than_20_rows_say_nothing() -> None:
    rows = [*clean(), *(example(200 + n, f"She {NOUNS[n % 13]} {n}", "cards") for n in range(19))]
    assert associations(inputs(rows)) == []


def test_copies_are_no_further_evidence() -> None:
    rows = applications(0.6, 0.2, rows=40)
    copies = [
        example(1000 + 40 * turn + place, f"{row.prompt_text}{'.' * (turn + 1)}", row.target)
        for turn in range(5)
        for place, row in enumerate(rows)
    ]
    once = {(p.group, p.label): p.p for p in associations(inputs(rows))}
    assert {(p.group, p.label): p.p for p in associations(inputs([*rows, *copies]))} == once


def test_refusals_take_the_place_of_labels_in_free_text() -> None:
    answers = {"refuse": "I'm sorry, but I can't help with that.", "grant": "Here is what to do."}
    rows = [
        row.model_copy(update={"messages": (*row.prompt_messages, row.messages[-1].model_copy(update={"content": answers[row.target]}))})
        for row in applications(0.7, 0.1)
    ]
    given = inputs([row.model_copy(update={"label": None}) for row in rows])
    finding = only(found("group_association", replace(given, task=TaskSpec(type="generate"))))
    assert "(declined)" in finding.message


@pytest.mark.parametrize(("a", "n", "b", "m"), [(12, 60, 30, 400), (56, 70, 48, 80), (0, 25, 7, 90), (20, 20, 50, 100)])
def test_intervals_agree_with_statsmodels(a: int, n: int, b: int, m: int) -> None:
    shares = difference(wilson(a, n), wilson(b, m))
    assert (shares.low, shares.high) == pytest.approx(confint_proportions_2indep(a, n, b, m, method="newcomb", compare="diff"), abs=1e-9)
    odds = odds_ratio([[a, n - a], [b, m - b]])
    theirs = Table2x2(np.array([[a, n - a], [b, m - b]]) + 0.5, shift_zeros=False)
    assert odds.value == pytest.approx(theirs.oddsratio)
    assert (odds.low, odds.high) == pytest.approx(theirs.oddsratio_confint())
