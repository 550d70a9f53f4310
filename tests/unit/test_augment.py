"""Augmentation: every guard, and the trap of augmenting before the split, which must not be possible to walk into."""

from __future__ import annotations

import csv
import json
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provetune.augment import INSTRUCTION, SWAPS, AugmentRequest, augment, edited, swapped
from provetune.models.scripted import ScriptedGenerator
from provetune.records.data import Example, Message
from provetune.similarity import example_groups, find_leaks
from provetune.spec import SplitSpec
from provetune.split import SplitParts, split

TEXTS = {
    "refund": ("I want my money back for the broken lamp", "please return the payment for my last order"),
    "delivery": ("the courier never came to my door yesterday", "where is the parcel that I ordered last week"),
    "billing": ("there is a mistake on the invoice for march", "you charged my card two times this month"),
}


def example(number: int, text: str, target: str, label: str | None = None) -> Example:
    turns = (Message(role="system", content="Be brief."), Message(role="user", content=text), Message(role="assistant", content=target))
    return Example(id=f"r{number}", messages=turns, label=label, group=f"customer {number}", source=f"rows.csv:{number}")


def rows_of(copies: int = 3) -> list[Example]:
    pairs = [(f"{text} number {'abcdefgh'[k] * 4}", label) for label, texts in TEXTS.items() for text in texts for k in range(copies)]
    return [example(number, text, label, label) for number, (text, label) in enumerate(pairs)]


def new_rows(request: AugmentRequest) -> list[Example]:
    return augment(request).rows[len(request.train) :]


def request_of(train: Sequence[Example], *kinds: Any, **more: Any) -> AugmentRequest:
    return AugmentRequest(train=train, held_out=more.pop("held_out", ()), kinds=kinds, **more)


# -- what is made


def test_new_rows_stand_behind_the_originals_and_name_their_source() -> None:
    train = rows_of()
    found = augment(request_of(train, "edit"))
    assert found.rows[: len(train)] == train and found.made == len(train) == found.kept + sum(found.dropped.values())
    by_id = {e.id: e for e in train}
    for row in found.rows[len(train) :]:
        source = by_id[row.source_id]
        assert (row.label, row.target, row.group) == (source.label, source.target, source.group) and row.synthetic and not source.synthetic
        assert row.prompt_text != source.prompt_text and row.messages[0] == source.messages[0]
    assert augment(request_of(train, "edit")).rows == found.rows, "the same request gives the same rows"
    assert augment(request_of(train, "edit", seed=8)).rows != found.rows


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=60), st.integers(0, 1000))
def test_edits_are_light(text: str, seed: int) -> None:
    found = edited(text, random.Random(seed))
    assert abs(len(found.casefold()) - len(text.casefold())) <= 2 + abs(len(text.upper()) - len(text)) * 2
    assert re.findall(r"\d", found) == re.findall(r"\d", text), "digits are never touched"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("He lost his card.", "She lost her card."),
        ("Give it to him or to her.", "Give it to her or to him."),
        ("HER husband, the Actor", "HIS wife, the Actress"),
        ("no word of this kind", "no word of this kind"),
        ("sherry, hero, shepherd", "sherry, hero, shepherd"),
    ],
)
def test_swaps(text: str, wanted: str) -> None:
    assert swapped(text) == wanted


def test_swaps_are_pairs_of_a_published_lexicon(public_data: Path) -> None:
    """WinoBias brings a list of swaps (Zhao et al. 2018); what is not in it is a pair of everyday words."""
    lines = (public_data / "winobias" / "generalized_swaps.txt").read_text().lower().replace(".", "").splitlines()
    published = {tuple(word.strip() for word in line.split("\t")) for line in lines}
    mine = {pair for pair in SWAPS if pair in published or pair[::-1] in published}
    words = [word for pair in SWAPS for word in pair]
    assert len(words) == len(set(words)), "each word has one counterpart"
    assert len(mine) >= 0.75 * len(SWAPS), sorted(set(SWAPS) - mine)


def test_a_swap_changes_only_rows_that_name_a_gender_and_the_target_of_free_text() -> None:
    labelled = [*rows_of(), example(90, "my husband lost his card", "delivery", "delivery")]
    (row,) = new_rows(request_of(labelled, "swap"))
    assert (row.prompt_text, row.target, row.source_id) == ("my wife lost her card", "delivery", "r90")
    free = [example(1, "Write to Mr Hill about his order", "Dear Mr Hill, your order is here."), example(2, "Say hello", "Hello.")]
    (row,) = new_rows(request_of(free, "swap"))
    assert row.target == "Dear Mrs Hill, your order is here."


def test_paraphrases_are_asked_for_labels_with_few_rows() -> None:
    train = rows_of()
    many = [example(100 + k, f"other words {'abcdefghijklmnopqrstuvwxyz'[k]}", "billing", "billing") for k in range(20)]
    answers = {INSTRUCTION + e.prompt_text: f"Kindly note: {e.prompt_text}" for e in [*train, *many]}
    found = augment(request_of([*train, *many], "paraphrase", generator=ScriptedGenerator(answers), generator_name="a model"))
    kept = found.rows[len(train) + len(many) :]
    assert found.made == sum(e.label != "billing" for e in train) and {row.label for row in kept} == {"refund", "delivery"}
    assert all(row.meta["generator"] == "a model" and len(row.meta["prompt_hash"]) == 16 for row in kept)


def test_a_paraphrase_that_could_not_be_had_makes_no_row() -> None:
    assert augment(request_of(rows_of(), "paraphrase", generator=ScriptedGenerator({}))).made == 0
    with pytest.raises(ValueError, match="need a generator"):
        augment(request_of(rows_of(), "paraphrase"))


# -- guards


def dropped_by(reason: str, request: AugmentRequest) -> int:
    return sum(count for name, count in augment(request).dropped.items() if reason in name)


def scripted(train: Sequence[Example], answer: str) -> ScriptedGenerator:
    return ScriptedGenerator({INSTRUCTION + e.prompt_text: answer.format(e.prompt_text) for e in train})


def test_a_lost_number_is_dropped() -> None:
    train = [example(k, f"cancel order {1000 + k} for {word} today", word) for k, word in enumerate(("lamp", "chair", "table"))]
    assert dropped_by("number", request_of(train, "paraphrase", generator=scripted(train, "cancel my order today"))) == 3
    assert dropped_by("number", request_of(train, "paraphrase", generator=scripted(train, "today: {}"))) == 0


def test_a_lost_value_of_a_json_target_is_dropped() -> None:
    train = [
        example(k, f"book a table in {town} for two", json.dumps({"city": town, "size": "2"})) for k, town in enumerate(("Rome", "Oslo"))
    ]
    assert dropped_by("value", request_of(train, "paraphrase", generator=scripted(train, "a table for two, please"))) == 2
    assert dropped_by("value", request_of(train, "paraphrase", generator=scripted(train, "please {}"))) == 0


def test_a_row_that_is_there_already_is_dropped() -> None:
    train = rows_of()
    same = ScriptedGenerator({INSTRUCTION + e.prompt_text: f"  {e.prompt_text} " for e in train})
    assert dropped_by("equal to a row", request_of(train, "paraphrase", generator=same)) == len(train)


def test_a_row_near_a_held_out_row_is_blocked() -> None:
    train = rows_of()
    held_out = [example(500, f"{e.prompt_text} x", e.target, e.label) for e in train[::3]]
    copies = augment(request_of(train, "edit", held_out=held_out))
    assert copies.dropped["nearly equal to a held-out row"] >= 2 and not find_leaks(copies.rows[len(train) :], held_out, 0.8)


def test_a_row_that_reads_like_another_label_is_dropped() -> None:
    train = rows_of(6)
    flipped = ScriptedGenerator({INSTRUCTION + e.prompt_text: "the courier never came, where is the parcel" for e in train[:6]})
    found = augment(request_of(train, "paraphrase", generator=flipped))
    assert train[0].label == "refund" and found.kept == 0
    assert found.dropped["a classifier fitted on the originals gives another label"] == 1, "the other five are equal to the first"


@pytest.mark.parametrize("share", [0.5, 0.2])
def test_new_rows_are_at_most_the_share(share: float) -> None:
    train = rows_of(6)
    found = augment(request_of(train, "edit", copies=4, share=share))
    assert found.kept / len(found.rows) <= share and found.kept >= share / (1 - share) * len(train) - 1
    again = augment(request_of(found.rows, "edit", copies=4, share=share))
    assert again.kept == 0, "copies that are there count, and no copy is made of a copy"
    with pytest.raises(ValueError, match="at most 0.5"):
        augment(request_of(train, "edit", share=0.6))


# -- the trap


NOISY_COPIES = 3


def noisy_file(public_data: Path) -> tuple[list[Example], list[Example], list[Example]]:
    """(1,000 Banking77 rows, the same with 3 copies of each that lack one word in twenty, the public test rows).

    The copies carry `source_id`, as a tool for augmentation or a careful person writes it.
    """

    def read(name: str) -> list[tuple[str, str]]:
        with (public_data / "banking77" / name).open(encoding="utf-8", newline="") as file:
            return [(row["text"], row["category"]) for row in csv.DictReader(file)]

    draw = random.Random(7)
    texts = draw.sample(read("train.csv"), 1000)
    rows = [example(k, text, label, label).model_copy(update={"group": None}) for k, (text, label) in enumerate(texts)]
    copies = []
    for row in rows:
        for copy in range(NOISY_COPIES):
            kept = [word for word in row.prompt_text.split() if draw.random() > 0.05]
            turns = (row.messages[0], row.messages[1].model_copy(update={"content": " ".join(kept)}), row.messages[2])
            update = {"id": f"{row.id}c{copy}", "messages": turns, "meta": {"source_id": row.id}}
            copies.append(row.model_copy(update=update))
    test = [example(9000 + k, text, label, label) for k, (text, label) in enumerate(read("test.csv"))]
    mixed = [*rows, *copies]
    draw.shuffle(mixed)
    return rows, mixed, test


def ridge_accuracy(train: Sequence[Example], test: Sequence[Example]) -> float:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import RidgeClassifier
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfVectorizer(sublinear_tf=True), RidgeClassifier(alpha=1.0))
    model.fit([e.prompt_text for e in train], [e.label for e in train])
    return float(np.mean(model.predict([e.prompt_text for e in test]) == np.array([e.label for e in test])))


def product_split(rows: Sequence[Example]) -> SplitParts:
    return split(rows, SplitSpec(test=0.25, validation=0.1), groups=example_groups(rows), leaked={})


def test_augmenting_before_the_split_cannot_fake_success(public_data: Path) -> None:
    """Measured elsewhere: 96.1 % claimed by a random split, 63.0 % split by source, 66.8 % on real test rows."""
    rows, mixed, test = noisy_file(public_data)
    real = ridge_accuracy(mixed, test)
    order = np.random.default_rng(0).permutation(len(mixed))
    cut = len(mixed) * 3 // 4
    claimed = ridge_accuracy([mixed[k] for k in order[:cut]], [mixed[k] for k in order[cut:]])
    assert claimed > 0.93 and 0.55 < real < 0.72, "the trap is real"
    parts = product_split(mixed)
    of = [{e.source_id for e in part} for part in (parts.train, parts.validation, parts.test)]
    assert not (of[0] & of[1] or of[0] & of[2] or of[1] & of[2]), "no source stands in two parts"
    assert ridge_accuracy(parts.train, parts.test) < real + 0.03, "what the split claims is what real rows give"
    assert ridge_accuracy(rows, test) >= real - 0.01, "and such copies did not even help"


def test_rows_that_are_made_only_train(public_data: Path) -> None:
    rows, _, _ = noisy_file(public_data)
    found = augment(request_of(rows[:200], "edit"))
    parts = product_split(found.rows)
    assert not any(e.synthetic for e in (*parts.validation, *parts.test)) and any(e.synthetic for e in parts.train)
    assert set(parts.left_out.values()) == {"is made from another row or by a model; such rows only train"}
    held_out = {e.source_id for e in (*parts.validation, *parts.test)}
    assert not any(e.source_id in held_out for e in parts.train), "nor does a copy of a row that proves train"
    counted = len(parts.train) + len(parts.validation) + len(parts.test) + len(parts.left_out)
    assert counted == len(found.rows), "no row is lost uncounted"


def test_copies_of_a_leaked_row_are_left_out_with_it() -> None:
    rows = rows_of(6)
    copy = rows[0].model_copy(update={"id": "copy", "meta": {"source_id": rows[0].id}})
    parts = split(
        [*rows, copy],
        SplitSpec(validation=0.2),
        groups=list(range(len(rows) + 1)),
        test_examples=[rows[0]],
        leaked={rows[0].id: "stands in the test file"},
    )
    assert parts.left_out == {rows[0].id: "stands in the test file", "copy": "shares its source with a row that is left out"}


def test_data_that_is_all_made_by_a_model_can_still_be_split() -> None:
    rows = [e.model_copy(update={"meta": {"synthetic": "true"}}) for e in rows_of(6)]
    parts = split(rows, SplitSpec(test=0.25, validation=0.2), groups=list(range(len(rows))), leaked={})
    assert parts.left_out == {} and parts.test and parts.validation


@pytest.mark.parametrize(
    ("meta", "extra", "made"), [({"synthetic": "edit"}, {}, True), ({"synthetic": "False"}, {}, False), ({}, {}, False)]
)
def test_what_a_file_says_of_its_rows_is_heard(meta: dict[str, str], extra: dict[str, Any], made: bool) -> None:
    row = example(1, "a", "b").model_copy(update={"meta": meta, "extra": extra})
    assert row.synthetic == made and row.source_id == "r1"
    nested = example(2, "a", "b").model_copy(update={"extra": {"meta": {"synthetic": True, "source_id": "r1"}}})
    assert nested.synthetic and nested.source_id == "r1"
