"""Safe remedies: what they take out, what they leave alone, and that every row is counted."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provetune.audit.fixes import PersonalDataFix, safe_fixes, visible
from provetune.personal_data import find, masked
from provetune.records.data import Example, Message
from tests.unit.audit.public import asked, banking, static
from tests.unit.audit.rows import clean, example, inputs

LONG = "I would like to know why the payment I made to my landlord yesterday has not arrived in her account"


def masking(text: str) -> str:
    return masked(text, find(text))


def names(rows: list[Example], test: list[Example] | None = None, wanted: PersonalDataFix | None = None) -> dict[str, tuple[str, ...]]:
    return {fix.name: fix.example_ids for fix in safe_fixes(inputs(rows, test), wanted)[1]}


def test_a_clean_set_has_nothing_to_mend() -> None:
    rows, fixes = safe_fixes(inputs(clean(), [example(900, "an unrelated question", "cards")]))
    assert (rows, fixes) == (clean(), ())
    assert safe_fixes(inputs([])) == ([], ())


def test_each_fault_is_mended_and_named() -> None:
    faulty = [
        example(100, "pass\u200bword lost", "cards"),
        example(101, "  ", "cards"),
        example(102, "something", " \ufeff "),
        example(103, LONG + "!", "fees"),
        example(104, clean()[3].prompt_text.upper() + "?", clean()[3].target),
        example(105, clean()[4].prompt_text, "another label"),
    ]
    rows, fixes = safe_fixes(inputs([*clean(), *faulty], [example(900, LONG, "fees")]))
    assert {fix.name: fix.example_ids for fix in fixes} == {
        "invisible_characters": ("r100", "r102"),
        "empty_rows": ("r101", "r102"),
        "test_copies": ("r103",),
        "repeated_rows": ("r104",),
    }
    assert [row.id for row in rows] == [*(row.id for row in clean()), "r100", "r105"]
    assert rows[80].prompt_text == "password lost"
    assert len(clean()) + len(faulty) - sum(fix.count for fix in fixes if fix.removes) == len(rows)


def test_copies_that_show_only_after_cleaning_are_found() -> None:
    first = clean()[0]
    assert names([*clean(), example(100, "\u2060".join(first.prompt_text), first.target)]) == {
        "invisible_characters": ("r100",),
        "repeated_rows": ("r100",),
    }


def test_a_label_follows_its_target() -> None:
    rows, _ = safe_fixes(inputs([*clean(), example(100, "a question", "ca\u200brds")]))
    assert (rows[-1].target, rows[-1].label) == ("cards", "cards")


def test_personal_data_is_masked_or_dropped_only_where_asked() -> None:
    row = example(100, "write to jo@example.org please", "cards")
    assert names([*clean(), row]) == {}
    rows, fixes = safe_fixes(inputs([*clean(), row]), PersonalDataFix(masking, drop=False))
    assert (rows[-1].prompt_text, [fix.removes for fix in fixes]) == ("write to [EMAIL] please", [False])
    rows, fixes = safe_fixes(inputs([*clean(), row]), PersonalDataFix(masking, drop=True))
    assert (rows, [(fix.name, fix.removes) for fix in fixes]) == (clean(), [("personal_data", True)])


def test_all_turns_of_a_conversation_are_cleaned() -> None:
    turns = [("system", "be\u200b kind"), ("user", "a\u202eb"), ("assistant", "no"), ("user", "c"), ("assistant", "d\x00")]
    row = Example(id="chat", messages=tuple(Message.model_validate({"role": r, "content": c}) for r, c in turns))
    row = row.model_copy(update={"rejected": (Message(role="assistant", content="x\ufeff"),)})
    (cleaned,), _ = safe_fixes(inputs([row]))
    assert [message.content for message in (*cleaned.messages, *cleaned.rejected)] == ["be kind", "ab", "no", "c", "d", "x"]


@pytest.mark.parametrize(
    "text",
    [
        "tab\tline\nend\r\n",
        "👩\u200d🚀",
        "می\u200cخواهم",
        "क्\u200dष",
        "עברית \u200f!",
        "日本語",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    ],
)
def test_what_scripts_and_emoji_need_stays(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize("text", ["\ufeffa", "a\u200b", "\u202da\u202c", "a\x1b", "\U000e0049\U000e0067a", "\u2066a\u2069"])
def test_what_nobody_sees_goes(text: str) -> None:
    assert visible(text) == "a"


ROWS = st.lists(st.tuples(st.text(max_size=8), st.sampled_from(["a", "b", " ", ""])), max_size=12)


@given(pairs=ROWS, test=ROWS)
def test_mending_twice_changes_nothing_and_no_row_is_lost_uncounted(pairs: list[tuple[str, str]], test: list[tuple[str, str]]) -> None:
    rows = [example(n, prompt, target) for n, (prompt, target) in enumerate(pairs)]
    held_out = [example(900 + n, prompt, target) for n, (prompt, target) in enumerate(test)]
    mended, fixes = safe_fixes(inputs(rows, held_out))
    assert len(rows) - sum(fix.count for fix in fixes if fix.removes) == len(mended)
    assert {row.id for row in mended} <= {row.id for row in rows}
    assert safe_fixes(inputs(mended, held_out)) == (mended, ())


def test_banking77(public_data: Path) -> None:
    given_rows = asked(banking(public_data), static(public_data), banking(public_data, "test"))
    rows, fixes = safe_fixes(given_rows)
    counts = {fix.name: fix.count for fix in fixes}
    # 12 normalised duplicates in all, of which some are training copies of test rows and gone before
    assert set(counts) == {"test_copies", "repeated_rows"}
    assert 20 <= counts["test_copies"] <= 30
    assert counts["repeated_rows"] <= 12
    assert len(rows) == 10_003 - sum(counts.values())
