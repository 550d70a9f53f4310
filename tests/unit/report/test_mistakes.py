from __future__ import annotations

from collections import Counter

from provetune.report.limits import limits
from provetune.report.mistakes import NO_LABEL, find_mistakes
from tests.unit.report.factory import CHAMPION, FEW_SHOT, inputs_of, with_rows_not_measured


def test_confusions_equal_a_count_by_hand() -> None:
    inputs = inputs_of(rows=400, label_count=5)
    pairs: Counter[tuple[str, str]] = Counter()
    for key, example in inputs.examples.items():
        text = str(inputs.predictions[CHAMPION][key])
        if text != example.label:
            pairs[str(example.label), text if text in inputs.evidence.labels else NO_LABEL] += 1
    found = find_mistakes(inputs)
    assert found.wrong == pairs.total() == 50
    assert {(c.true, c.named): c.count for c in found.confusions} == dict(pairs)
    assert [c.count for c in found.confusions] == sorted(pairs.values(), reverse=True)


def test_at_most_15_pairs_are_listed() -> None:
    found = find_mistakes(inputs_of(rows=3080, label_count=77))
    assert len(found.confusions) == 15 and found.pairs > 15


def test_fixed_and_broken_follow_from_the_observations() -> None:
    inputs = inputs_of(rows=400)
    ours, theirs = (
        {key: text == inputs.examples[key].label for key, text in inputs.predictions[name].items()} for name in (CHAMPION, FEW_SHOT)
    )
    found = find_mistakes(inputs)
    assert found.baseline == FEW_SHOT and found.metric == "accuracy"
    assert found.fixed_count == sum(ours[key] and not theirs[key] for key in ours)
    assert found.broken_count == sum(theirs[key] and not ours[key] for key in ours)
    assert len(found.fixed) == len(found.broken) == 10
    assert all(ours[row.example_id] and not theirs[row.example_id] for row in found.fixed)
    assert all(theirs[row.example_id] and not ours[row.example_id] for row in found.broken)


def test_rows_that_were_not_measured_are_neither_fixed_nor_broken() -> None:
    inputs = with_rows_not_measured(inputs_of(rows=400), 400)
    found = find_mistakes(inputs)
    assert (found.metric, found.fixed_count, found.broken_count) == ("", 0, 0)


def test_long_texts_are_cut_at_400_characters_and_say_so() -> None:
    found = find_mistakes(inputs_of(text="x" * 10_240))
    assert found.fixed[0].prompt == "x" * 400 + " … (cut: first 400 of 10,240 characters)"


def test_limits_are_drawn_from_the_records() -> None:
    said = " ".join(limits(with_rows_not_measured(inputs_of(rows=40, openings=3), 3)))
    for part in (
        "40 examples",
        "opened 3 times",
        "3 of 40",
        "fewer than 10 for each",
        "One seed (1)",
        "6.9 million",
        "left warnings open",
        "3 examples were",
    ):
        assert part in said
    assert "opened 2 times" in " ".join(limits(inputs_of(openings=2)))
    said = " ".join(limits(inputs_of(rows=3080, openings=1)))
    for part in ("opened", "were not measured for", "fewer than 10"):
        assert part not in said
