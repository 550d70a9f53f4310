"""Made-up content, abstention, instructions, style: what is seen, and what must not be taken for a fault."""

from __future__ import annotations

import json
from typing import Any

import pytest

from provetune.errors import DataError
from provetune.metrics import METRICS
from provetune.metrics.base import Row
from provetune.metrics.grounding import abstains, claims, unsupported
from provetune.metrics.instructions import COUNTS, follows
from provetune.metrics.style import readability
from tests.unit.metrics.rows import one, value

PROMPT = "Anna Weber ordered 1,200 pens on 3 May 2024 for 45.50 euros. She lives in New York."


@pytest.mark.parametrize(
    ("completion", "missing"),
    [
        ("Yesterday Anna Weber bought 1200 pens.", []),
        ("She paid 45.5 euros.", []),
        ("Anna paid 46 euros to Carl Weber.", ["46", "Carl"]),
        ('{"name": "Anna Weber", "city": "New York", "total": 45.5, "zip": null, "paid": true}', []),
        ('{"name": "Anna Meier", "items": [{"count": 1200}, {"count": 7}]}', ["Anna Meier", "7"]),
        ("nothing at all", []),
    ],
)
def test_names_numbers_and_fields_that_the_prompt_does_not_hold(completion: str, missing: list[str]) -> None:
    assert sorted(unsupported(PROMPT, completion)) == sorted(missing)


def test_the_score_is_the_share_of_supported_claims() -> None:
    row = Row("", "Anna paid 46 euros to Carl Weber.", prompt=PROMPT)
    assert list(claims(row.completion)) == ["46", "Carl", "Weber"]
    assert METRICS["grounded"].observe(row) == pytest.approx((1 / 3, 3.0, 2.0))
    assert value("grounded", [Row("", "no claim", prompt=PROMPT)]) == 1.0 and value("grounded", [Row("x", "", prompt=PROMPT)]) == 0.0


def test_scripts_without_capitals_are_held_to_their_numbers() -> None:
    assert unsupported("他买了12支笔", "他买了 12 支笔, 付了 30 元") == ["30"]


@pytest.mark.parametrize(
    ("text", "does"),
    [
        ("I don't know.", True),
        ("I’m not sure.", True),
        ("The answer cannot be determined from the text.", True),
        ("It is not mentioned.", True),
        ("unknown", True),
        ("N/A", True),
        ("None of the trains was late.", False),
        ("The unknown soldier", False),
        ("Paris", False),
        ("", False),
    ],
)
def test_what_counts_as_abstaining(text: str, does: bool) -> None:
    assert abstains(text) == does


def test_abstention_counts_both_kinds_of_rows_alike() -> None:
    def row(answerable: str, target: str, completion: str) -> Row:
        return Row(target, completion, meta={"answerable": answerable})

    answered = [row("yes", "Paris", "Paris")] * 9
    always_answers = [*answered, row("no", "keine Angabe", "Paris")]
    always_abstains = [row("yes", "Paris", "I don't know")] * 9 + [row("no", "keine Angabe", "unknown")]
    assert value("abstention", always_answers) == value("abstention", always_abstains) == 0.5
    assert value("abstention", [*answered, row("no", "keine Angabe", "Keine  Angabe")]) == 1.0
    assert value("abstention", [row("yes", "unknown", "unknown"), row("no", "x", "")]) == 0.5
    assert METRICS["abstention"].observe(Row("a", "a")) is None


TEXT = "Dear Anna,\n\nthe refund takes 14 days. You need not call us!\n\n- bring the slip\n- sign it"


@pytest.mark.parametrize(
    ("instruction", "followed"),
    [
        ({"count": "words", "min": 17, "max": 17}, True),
        ({"count": "words", "max": 16}, False),
        ({"max": 3, "count": "paragraphs", "min": 3}, True),
        ({"count": "bullets", "min": 2}, True),
        ({"count": "lines", "max": 3}, False),
        ({"count": "sentences", "min": 3}, True),
        ({"count": "characters", "max": 200}, True),
        ({"contains": ["REFUND", "14 days"]}, True),
        ({"contains": ["refund", "30 days"]}, False),
        ({"contains_any": ["refund", "30 days"]}, True),
        ({"avoids": ["fund", "sorry"]}, True),
        ({"avoids": "refund"}, False),
        ({"in_order": ["dear", "refund", "sign"]}, True),
        ({"in_order": ["refund", "dear"]}, False),
        ({"starts_with": "dear"}, True),
        ({"ends_with": ["thank you", "it"]}, True),
        ({"case": "lower"}, False),
        ({"json": True}, False),
    ],
)
def test_instructions(instruction: dict[str, Any], followed: bool) -> None:
    assert follows(TEXT, instruction) == followed
    assert not follows("", instruction)


def test_other_scripts_are_counted_too() -> None:
    assert COUNTS["sentences"]("你好。世界!再见?") == 3 and COUNTS["words"]("你好 world") == 3


@pytest.mark.parametrize(
    "bad", [{}, {"count": "syllables", "max": 3}, {"count": "words"}, {"count": "words", "max": "9"}, {"contains": []}]
)
@pytest.mark.parametrize("more", [{}, {"colour": "red"}])
def test_an_unknown_instruction_is_refused(bad: dict[str, Any], more: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"wanted an object with one of: count .*correct the column 'instructions'"):
        follows("text", bad | more)


def test_instructions_of_a_row() -> None:
    given = [{"contains": "refund"}, {"contains": "sorry"}]
    columns: tuple[Any, ...] = (given, json.dumps(given))
    for column in columns:
        row = Row("x", TEXT, meta={"instructions": column})
        assert METRICS["instructions"].observe(row) == (0.5, 0.0, 2.0) and METRICS["instructions_all"].observe(row) == (0.0,)
    plain = Row("x", TEXT, meta={"instructions": "Write a letter."})
    assert METRICS["instructions"].observe(plain) is None and not METRICS["instructions"].applies(plain)
    unreadable: tuple[Any, ...] = ("[1]", "[{", {"contains": "x"})
    for wrong in unreadable:
        with pytest.raises(DataError, match="wanted a list of objects"):
            METRICS["instructions"].observe(Row("x", TEXT, meta={"instructions": wrong}))


def test_readability_by_its_formula() -> None:
    # 9 words, 33 letters, 2 sentences
    text = "The quick brown fox ran. Dogs slept all afternoon."
    assert readability(text) == pytest.approx(4.71 * 40 / 9 + 0.5 * 9 / 2 - 21.43)
    assert readability("") == readability("?!") == 0.0


def test_style_is_length_ease_and_forbidden_words() -> None:
    row = Row("We will refund you.", "We will refund you at once.", meta={"forbidden": "sorry, refund"})
    score, length, ease, clean = METRICS["style"].observe(row) or ()
    assert length == pytest.approx(4 / 6) and clean == 0.0 and 0 < ease <= 1 and score == pytest.approx((length + ease + clean) / 3)
    assert value("style", [Row("a b", "a b", meta={"forbidden": ["sorry"]})]) == 1.0


def test_conciseness_asks_for_no_more_words_than_the_target_has() -> None:
    assert one("conciseness", "one two", "one") == 1.0 and one("conciseness", "one two", "a b c d") == 0.5
    assert one("conciseness", "one two", "") == 0.0
