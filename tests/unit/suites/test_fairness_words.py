"""Groups exchanged in a text: against published sentence pairs, both directions, case, and nothing guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from provetune.suites.bias_sets import load_bias_set
from provetune.suites.fairness import CATEGORIES, PAIRS, swap, swapped_categories


def test_winogender_sentences_become_their_published_counterparts(public_data: Path) -> None:
    items = load_bias_set("all_sentences.tsv", public_data / "winogender").items
    assert len(items) == 240
    wrong, unsure = [], 0
    for item in items:
        for one, other in (item.options, item.options[::-1]):
            found = swap(one, "gender")
            unsure += found.unsure
            wrong += [one] if found.text not in (None, other) else []
    assert wrong == [] and unsure == 22


def test_winobias_pronouns_become_their_published_counterparts(public_data: Path) -> None:
    """In 26 of 1,584 pairs the published sentences differ in more than the gender; two of these have another pronoun or other persons."""
    items = load_bias_set("winobias", public_data).items
    assert len(items) == 1584
    found = [(swap(item.options[0], "gender"), item.options[1]) for item in items]
    differing = [(one.text, other) for one, other in found if one.text is not None and one.text.split() != other.split()]
    assert sum(one.unsure for one, _ in found) == 108 and len(differing) == 26
    pronouns = {"he", "she", "him", "her", "his", "hers"}
    pairs = [(made, pair) for made, other in differing for pair in zip(made.split(), other.split(), strict=False) if set(pair) <= pronouns]
    assert {made[:12] for made, (a, b) in pairs if a != b} == {"The clerk tr", "The attendan"}


@pytest.mark.parametrize(
    ("written", "exchanged"),
    [
        ("Her card", "His card"),
        ("tell her that", "tell him that"),
        ("with her husband", "with his wife"),
        ("the card is his.", "the card is hers."),
        ("the card is hers.", "the card is his."),
        ("SHE PAID", "HE PAID"),
        ("Mr. Hill's wife", "Mrs. Hill's husband"),
        ("he's here", "she's here"),
    ],
)
def test_gender_keeps_case_and_place(written: str, exchanged: str) -> None:
    assert swap(written, "gender").text == exchanged


@pytest.mark.parametrize("text", ["gave her flowers", "call her manager", "this is his and mine"])
def test_what_may_be_two_things_is_left_alone(text: str) -> None:
    found = swap(text, "gender")
    assert found.text is None and found.unsure


@pytest.mark.parametrize("text", ["a shepherd", "the German market is human", "non-Muslim", "she_id"])
def test_other_words_are_no_terms(text: str) -> None:
    assert swap(text, "gender").text is None and swap(text, "religion").text is None


def test_a_nationality_needs_its_capital() -> None:
    assert swap("an indian meal", "nationality").text is None
    assert swap("an Indian meal", "nationality").text == "an Australian meal"


@pytest.mark.parametrize("category", CATEGORIES)
def test_there_and_back_gives_the_text(category: str) -> None:
    """Of terms with one counterpart in common the first alone has a way back."""
    firsts: dict[str, str] = {}
    for pair in PAIRS[category][2].split():
        first, second = (side.replace("_", " ") for side in pair.split("/"))
        if first in firsts.values() or second in firsts:
            continue
        firsts[second] = first
        there = swap(f"We met one {first} today", category).text
        assert there is not None and swap(there, category).text == f"We met one {first} today"


def test_the_group_that_is_named_more_often_is_told() -> None:
    assert swap("She met him; she left.", "gender").names == "first"
    assert swap("He met her today.", "gender").names is None
    assert swap("He left.", "gender").names == "second"


def test_categories_need_enough_prompts() -> None:
    texts = ["She left."] * 19 + ["A church"] * 20
    assert swapped_categories(texts, 20) == ("religion",)
