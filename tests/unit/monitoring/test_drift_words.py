"""Words, samples and their effect: what is masked, drawn, capped, and how large a difference is called."""

from __future__ import annotations

import random as chance

import numpy as np
import pytest

from provetune.monitoring.drift import find_drift
from provetune.monitoring.sample import MOST, Row, Sample, draw
from provetune.monitoring.settings import Settings
from provetune.monitoring.terms import text_effect
from provetune.monitoring.text import masked, sameness, words_of

WORDS = [f"{a}{b}" for a in ("ba", "de", "ki", "lo", "mu", "na", "po", "ra", "si", "tu") for b in ("ran", "vel", "min", "dos", "ket")]


def texts(count: int, seed: int) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, 9)) for _ in range(count)]


@pytest.mark.parametrize(
    "text",
    [
        "on 3 May 2026",
        "2026-05-03T10:00Z",
        "see https://a.example/b?c=1",
        "mail me@example.org",
        "id 7f3a-9c",
        "v1.2.3",
        "Tuesday",
        "<EMAIL>",
    ],
)
def test_dates_numbers_links_and_ids_are_no_words(text: str) -> None:
    assert set(words_of(text)) <= {"on", "see", "mail", "me", "id"}


def test_words_stay_words() -> None:
    assert words_of("The fee's gone; café, naïve") == ("the", "fee", "gone", "café", "naïve")
    assert words_of("maybe marching") == ("maybe", "marching")
    assert sameness("Order 77 is late!") == sameness("order 12 is late")
    assert masked("x" * 50_000) == "x" * 20_000


def test_the_draw_does_not_depend_on_the_order_of_arrival() -> None:
    rows = [Row(text, id=f"r{place}") for place, text in enumerate(texts(3000, 1))] + [Row("same text", id=f"s{k}") for k in range(50)]
    first = draw(rows)
    for seed in range(3):
        mixed = rows[:]
        chance.Random(seed).shuffle(mixed)
        assert draw(mixed).rows == first.rows
    assert len(first.rows) == MOST and first.left_out["repeated"] >= 49
    assert sum(first.left_out.values()) + MOST == len(rows)
    assert [row.id for row in draw(rows, seed=8).rows] != [row.id for row in first.rows]


def test_one_user_cannot_be_the_window() -> None:
    rows = [Row(text, user="loud" if place % 10 else f"u{place}") for place, text in enumerate(texts(1000, 2))]
    found = draw(rows)
    assert sum(row.user == "loud" for row in found.rows) == 50
    assert found.left_out == {"above one user's share": 850}
    assert draw([Row(text, user="only") for text in texts(10, 3)]).left_out == {}


def test_a_planted_word_is_first_and_its_share_is_right() -> None:
    hits = covered = 0
    for seed in range(20):
        reference = Sample(tuple(Row(text) for text in texts(1000, 100 + seed)))
        window = Sample(tuple(Row(f"{text} zorblax" if k < 24 else text) for k, text in enumerate(texts(240, 200 + seed))))
        found, sentence, signals = find_drift(reference, window, 0.05, Settings(seed=seed))
        terms = next(one for one in signals if one.detector == "new_terms").terms
        hits += found == "drift" and terms[0].term == "zorblax" and "zorblax (24 texts, was 0)" in sentence
        share = text_effect(reference, window, seed).new_share
        covered += share.low is not None and share.high is not None and share.low <= 0.10 <= share.high
    assert hits >= 19 and covered >= 17


def test_a_real_but_tiny_difference_is_no_alarm() -> None:
    reference = Sample(tuple(Row(text) for text in texts(2000, 5)))
    window = Sample(tuple(Row(f"{text} zorblax" if k < 40 else text) for k, text in enumerate(texts(2000, 6))))
    found, _, signals = find_drift(reference, window, 0.05, Settings())
    assert found == "slight"
    assert next(one for one in signals if one.detector == "new_terms").terms[0].term == "zorblax"


def test_the_classifier_guesses_without_a_difference() -> None:
    values = [
        text_effect(Sample(tuple(map(Row, texts(150, 2 * k)))), Sample(tuple(map(Row, texts(150, 2 * k + 1))))).auc.value or 0
        for k in range(20)
    ]
    assert abs(np.mean(values) - 0.5) < 0.02
