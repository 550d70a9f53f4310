"""Near-duplicates against the comparison of all pairs, and against the counts measured on public data."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import unicodedata
from functools import cache
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.planted_rows import public_rows, with_typo_copies
from provetune.records.data import Example, Message
from provetune.similarity import (
    alike,
    example_groups,
    find_leaks,
    groups,
    jaccard,
    near_duplicate_pairs,
    nearest_cross,
    normalise,
    own_texts,
    shared_end,
    shingles,
)

WORDS = [
    "where",
    "is",
    "my",
    "new",
    "card",
    "order",
    "account",
    "why",
    "was",
    "payment",
    "declined",
    "today",
    "transfer",
    "money",
    "please",
]


@cache
def grams(text: str) -> frozenset[str]:
    """The definition, without hashing."""
    text = normalise(text)
    return frozenset(text[i : i + 5] for i in range(len(text) - 4)) or frozenset({text})


def slow_jaccard(a: str, b: str) -> float:
    left, right = grams(a), grams(b)
    shared = len(left & right)
    return shared / (len(left) + len(right) - shared)


def slow_pairs(texts: list[str], threshold: float) -> set[tuple[int, int]]:
    return {(i, j) for i, j in combinations(range(len(texts)), 2) if slow_jaccard(texts[i], texts[j]) >= threshold}


def wordy(seed: int, count: int) -> list[str]:
    """Random short texts, a third of them with a letter or word changed in an earlier one."""
    draw = random.Random(seed)
    texts: list[str] = []
    while len(texts) < count:
        if texts and draw.random() < 0.4:
            text = list(draw.choice(texts))
            text[draw.randrange(len(text))] = draw.choice("abcxyz")
            texts.append("".join(text))
        else:
            texts.append(" ".join(draw.choices(WORDS, k=draw.randint(6, 14))))
    return texts


def example(number: int, prompt: str, target: str = "yes") -> Example:
    return Example(id=f"r{number}", messages=(Message(role="user", content=prompt), Message(role="assistant", content=target)))


def banking77(folder: Path, name: str) -> list[Example]:
    with (folder / "banking77" / name).open(encoding="utf-8", newline="") as file:
        return [example(number, row["text"], row["category"]) for number, row in enumerate(csv.DictReader(file), start=2)]


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("Where's MY card?!", "wheres my card"),
        ("  tabs\tand\n\nlines ", "tabs and lines"),
        ("ﬁle Ⅳ", "file iv"),
        ("STRASSE straße", "strasse straße"),
        ("snake_case stays", "snake_case stays"),
        ("?!", "?!"),
        ("👍", "👍"),
        ("", ""),
    ],
)
def test_normal_form(text: str, normal: str) -> None:
    assert normalise(text) == normal


def slow_normal_form(text: str) -> str:
    """The definition, letter by letter."""
    lowered = unicodedata.normalize("NFKC", text).lower()
    kept = [letter for letter in lowered if re.match(r"[\w\s]", letter) or unicodedata.category(letter).startswith("M")]
    return " ".join("".join(kept).split()) or " ".join(lowered.split())


@given(st.text())
def test_normal_form_is_its_definition(text: str) -> None:
    assert normalise(text) == slow_normal_form(text)


def test_vowel_signs_tell_words_apart() -> None:
    assert normalise("की") != normalise("का")


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_normal_form_is_stable_and_blind_to_case(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text) == normalise(text.upper())


@given(st.text(alphabet="ab c", max_size=40), st.text(alphabet="ab c", max_size=40))
def test_jaccard_is_that_of_the_sets_of_character_5_grams(a: str, b: str) -> None:
    assert jaccard(shingles(a), shingles(b)) == pytest.approx(slow_jaccard(a, b))


def test_hashes_are_the_same_in_every_process() -> None:
    assert shingles("hello") == {2364668016578501383}


def test_short_texts_are_compared_whole() -> None:
    assert len(shingles("Hi!")) == 1
    assert jaccard(shingles("yes"), shingles("Yes.")) == 1.0
    assert jaccard(shingles("yes"), shingles("no")) == 0.0
    assert jaccard(frozenset(), frozenset()) == 1.0


def test_lone_surrogates_and_other_scripts_are_texts_too() -> None:
    assert near_duplicate_pairs(["\ud800 broken surrogate", "你好，我的卡在哪里呢", "你好我的卡在哪里呢"]) == [(1, 2, 1.0)]


@pytest.mark.parametrize("threshold", [0.8, 0.9])
def test_pairs_are_those_of_comparing_all(threshold: float) -> None:
    texts = list({normalise(text): text for text in wordy(3, 700)}.values())
    found = near_duplicate_pairs(texts, threshold)
    expected = slow_pairs(texts, threshold)
    assert len(expected) > 20
    assert {(i, j) for i, j, _ in found} == expected
    assert all(similarity == pytest.approx(slow_jaccard(texts[i], texts[j])) for i, j, similarity in found)
    assert found == sorted(found)


def test_recall_just_above_the_threshold() -> None:
    draw = random.Random(5)
    pairs: list[tuple[str, str]] = []
    while len(pairs) < 400:
        text = "".join(draw.choices("abcdefghijklmnop", k=80))
        cut = draw.randint(66, 72)
        other = text[:cut] + "".join(draw.choices("qrstuvwxyz", k=draw.randint(2, 6)))
        if 0.8 <= slow_jaccard(text, other) < 0.85:
            pairs.append((text, other))
    texts = [text for pair in pairs for text in pair]
    found = {(i, j) for i, j, _ in near_duplicate_pairs(texts, 0.8)}
    assert sum((2 * k, 2 * k + 1) in found for k in range(400)) >= 0.97 * 400


def test_copies_are_tied_to_the_first() -> None:
    texts = ["Where is my card", "close it", "where is my card!", "WHERE IS MY CARD"]
    assert near_duplicate_pairs(texts) == [(0, 2, 1.0), (0, 3, 1.0)]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 60))
def test_groups_are_those_of_all_pairs_even_with_copies(seed: int, count: int) -> None:
    texts = wordy(seed, count)
    texts += [text.upper() + "!" for text in texts[::3]]
    slow = groups(len(texts), [(i, j, 1.0) for i, j in slow_pairs(texts, 0.8)])
    assert groups(len(texts), near_duplicate_pairs(texts, 0.8)) == slow


@pytest.mark.parametrize("threshold", [0.7, 0.9])
def test_nearest_of_the_other_side_is_that_of_comparing_all(threshold: float) -> None:
    texts = wordy(11, 500)
    left, right = texts[::2], texts[1::2]
    expected: dict[int, tuple[int, float]] = {}
    for i, text in enumerate(left):
        similarity, j = max((slow_jaccard(text, other), -place) for place, other in enumerate(right))
        if similarity >= threshold:
            expected[i] = (-j, similarity)
    assert len(expected) > 15
    assert nearest_cross(left, right, threshold) == expected


def test_nothing_to_compare() -> None:
    assert near_duplicate_pairs([]) == []
    assert near_duplicate_pairs(["one"]) == []
    assert nearest_cross([], ["one"], 0.9) == nearest_cross(["one"], [], 0.9) == {}
    assert groups(0, []) == []


def test_hundreds_of_rows_of_one_wording_end_in_one_group() -> None:
    text = "the quick brown fox jumps over the lazy dog while five wizards box with seven zebras near a frozen lake at dawn"
    texts = [f"{text} {number:04}" for number in range(800)]
    assert set(groups(len(texts), near_duplicate_pairs(texts, 0.8))) == {0}


@given(st.integers(1, 30), st.data())
def test_groups_join_what_is_linked_and_nothing_else(count: int, data: st.DataObject) -> None:
    rows = st.integers(0, count - 1)
    pairs = data.draw(st.lists(st.tuples(rows, rows, st.just(1.0)), max_size=40))
    numbers = groups(count, pairs)
    assert all(numbers[i] == numbers[j] for i, j, _ in pairs)
    for i, j in combinations(range(count), 2):
        assert (numbers[i] == numbers[j]) == (j in closure(i, pairs))
    assert list(dict.fromkeys(numbers)) == list(range(len(set(numbers))))


def closure(start: int, pairs: list[tuple[int, int, float]]) -> set[int]:
    seen = {start}
    while True:
        more = {j for i, j, _ in pairs if i in seen} | {i for i, j, _ in pairs if j in seen}
        if more <= seen:
            return seen
        seen |= more


def test_an_instruction_repeated_in_every_prompt_does_not_count() -> None:
    words = "Decide which department of the bank should answer the following message, and write its name only. Message: "
    questions = [f"question about {word} number {number}" for number, word in enumerate(WORDS + WORDS[::-1])]
    examples = [example(number, f"{words}{text}\nDepartment:") for number, text in enumerate(questions)]
    (texts,) = own_texts(examples)
    assert texts[0] == "where number 0"
    assert len(set(example_groups(examples))) > len(examples) / 2
    assert find_leaks(examples[:25], [example(99, f"{words}what about fees for another thing\nDepartment:")]) == {}


def test_the_target_speaks_for_an_empty_prompt() -> None:
    assert own_texts([example(1, "", "A poem about rain")]) == [["A poem about rain"]]


@given(st.lists(st.text("ab", max_size=6), min_size=1, max_size=4), st.integers(0, 6))
def test_the_shared_end_is_that_of_the_reversed_texts(texts: list[str], start: int) -> None:
    start = min(start, *map(len, texts), 6)
    assert shared_end(texts, start) == os.path.commonprefix([text[start:][::-1] for text in texts])[::-1]


def test_leaks_name_the_test_row() -> None:
    train = [example(1, "How do I close my account today please"), example(2, "Something else"), example(3, "my CARD is lost")]
    test = [example(8, "My card is lost."), example(9, "How do I close my account today pleasee")]
    found = find_leaks(train, test)
    assert found["r3"] == ("r8", 1.0)
    assert found["r1"][0] == "r9"
    assert 0.9 <= found["r1"][1] < 1.0
    assert "r2" not in found


def test_banking77_leakage(public_data: Path) -> None:
    train, test = banking77(public_data, "train.csv"), banking77(public_data, "test.csv")
    assert (len(train), len(test)) == (10003, 3080)
    train_texts, test_texts = [row.prompt_text for row in train], [row.prompt_text for row in test]
    normal = {normalise(text) for text in train_texts}
    assert len(train) - len(normal) == 12
    assert sum(normalise(text) in normal for text in test_texts) == 11
    lowered = {text.lower().strip() for text in train_texts}
    assert sum(text.lower().strip() in lowered for text in test_texts) == 6
    near = nearest_cross(test_texts, train_texts, 0.9)
    assert len(near) == 22
    assert sum(similarity == 1.0 for _, similarity in near.values()) == 11
    assert all(test[i].target == train[j].target for i, (j, similarity) in near.items() if similarity == 1.0)
    assert len(nearest_cross(test_texts, train_texts, 0.7)) / len(test) == pytest.approx(0.119, abs=0.0005)
    leaks = find_leaks(train, test)
    assert {train[j].id for j, _ in near.values()} <= leaks.keys()
    assert len({test_id for test_id, _ in leaks.values()}) <= 22


def test_clinc150_leakage(public_data: Path) -> None:
    rows = json.loads((public_data / "clinc150" / "data_small.json").read_text(encoding="utf-8"))
    train, test = ([text for text, _ in rows[part]] for part in ("train", "test"))
    normal = {normalise(text) for text in train}
    assert (len(test), sum(normalise(text) in normal for text in test)) == (4500, 11)
    assert len(nearest_cross(test, train, 0.9)) == 17


TYPOS = [
    ("my new card has not arrived yet", "my new crad has not arrived yet"),
    ("my new card has not arrived yet", "my new card hasnot arived yet"),
    ("my new card has not arrived yet", "y new card has not arrived ye"),
    ("i made a reservation for tonight", "i made a reservationf or tonight"),
    ("block my card", "blok my card"),
]
NO_TYPOS = [
    ("rate this album 3 out of 6", "rate this album 2 out of 6"),
    ("share my location with my mother", "share my location with my brother"),
    ("block my card", "blok my crad"),  # two edits in 13 letters
    ("close it", "close i"),
    ("please open a savings account", "please open the savings account"),
]
USUAL = [f"{word} number {number}" for word in ("my brother knows", "my mother knows", "what is the a") for number in "abcdefg"]


def typos(texts: list[str]) -> list[tuple[int, int]]:
    return [(i, j) for i, j, _ in alike([example(number, text) for number, text in enumerate(texts)]).typos.listed()]


@pytest.mark.parametrize("pair", TYPOS)
def test_typing_errors_make_copies(pair: tuple[str, str]) -> None:
    assert (0, 1) in typos([*pair, *USUAL])


@pytest.mark.parametrize("pair", NO_TYPOS)
def test_other_values_and_other_words_make_no_copies(pair: tuple[str, str]) -> None:
    assert (0, 1) not in typos([*pair, *USUAL])


def slow_edits(a: str, b: str) -> int:
    """Optimal string alignment distance, by its recursion."""
    rows = [[max(i, j) for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i, j in ((i, j) for i in range(1, len(a) + 1) for j in range(1, len(b) + 1)):
        rows[i][j] = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (a[i - 1] != b[j - 1]))
        if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
            rows[i][j] = min(rows[i][j], rows[i - 2][j - 2] + 1)
    return rows[-1][-1]


@settings(max_examples=150, deadline=None)
@given(st.text("abcde", min_size=20, max_size=60), st.data())
def test_no_pair_within_two_edits_is_missed(text: str, data: st.DataObject) -> None:
    letters = list(text)
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.integers(0, len(letters) - 2))
        edit = data.draw(st.sampled_from(["insert", "delete", "replace", "swap"]))
        if edit == "insert":
            letters.insert(place, "x")
        elif edit == "delete":
            del letters[place]
        elif edit == "replace":
            letters[place] = "x"
        else:
            letters[place], letters[place + 1] = letters[place + 1], letters[place]
    copy = "".join(letters)
    edits = slow_edits(text, copy)
    wanted = 0 < edits <= min(2, min(len(text), len(copy)) // 10)
    # words of one letter each: one word, so that no rule about words applies
    assert typos([text, copy]) == ([(0, 1)] if wanted else [])


def test_copies_with_typing_errors_stay_together() -> None:
    rows = [example(1, "block my card please"), example(2, "something else"), example(3, "blok my card please")]
    assert example_groups(rows) == [0, 1, 0]


@pytest.mark.parametrize("name", ["banking77", "clinc150", "snips"])
def test_planted_typing_errors_are_found(public_data: Path, name: str) -> None:
    planted = with_typo_copies(public_rows(public_data, name), 600, seed=4)
    found = alike([example(number, text) for number, text in enumerate(planted.texts)])
    groups = found.groups
    copies = [row for row, source in enumerate(planted.source) if source != row]
    assert sum(groups[row] == groups[planted.source[row]] for row in copies) >= 0.95 * len(copies)
    pairs = [(i, j) for i, j, _ in found.typos.listed()]
    assert sum(planted.is_near(i, j) for i, j in pairs) >= 0.95 * len(pairs)
    assert sum(planted.is_true(i, j) for i, j in pairs) >= 0.92 * len(pairs)
