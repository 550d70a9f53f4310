"""Every detector: its level without drift, the same verdict twice, and rows that no test can be made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from provetune.hashing import seed_of
from provetune.monitoring.detectors import DETECTORS
from provetune.monitoring.drift import find_drift, permutations_for
from provetune.monitoring.sample import Row, Sample
from provetune.monitoring.settings import Settings
from provetune.records.data import Message
from provetune.records.monitoring import DriftSignal

WORDS = np.array(
    ("card money bank transfer account please help why how lost fee top up refund pin app phone wrong rate cash").split()  # noqa: SIM905
)
SHARES = 1 / np.arange(1, len(WORDS) + 1)


def row(random: np.random.Generator, number: int) -> Row:
    """A made-up request with everything that a detector can look at."""
    tongue = "das ist nicht und mit" if random.random() < 0.2 else "that is in the for"
    text = " ".join([*random.choice(WORDS, random.integers(4, 14), p=SHARES / SHARES.sum()), tongue])
    label = str(random.choice(["card", "cash", "app"], p=[0.6, 0.3, 0.1]))
    return Row(
        text,
        id=f"r{number}",
        label=label,
        prediction=label if random.random() < 0.9 else "cash",
        group=str(random.choice(["web", "phone"])),
        logprob=-float(random.random()),
        valid=bool(random.random() < 0.98),
        in_scope=bool(random.random() < 0.95),
    )


def sample(seed: int, count: int) -> Sample:
    random = np.random.default_rng(seed)
    return Sample(tuple(row(random, number) for number in range(count)))


class Bytes:
    """A tokenizer of bytes; only `encode` is asked."""

    context_length = 100
    stop_ids: frozenset[int] = frozenset()

    def render(self, messages: Sequence[Message], open_turn: bool) -> str:
        return ""

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, ids: Sequence[int]) -> str:
        return ""

    def to_json(self) -> str:
        return ""


class Sums:
    """An embedder without a model: each word a direction by its hash."""

    name = "sums of words"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = {word: np.random.default_rng(seed_of(word)).normal(size=16) for text in texts for word in text.split()}
        rows = np.array([sum(vectors[word] for word in text.split()) for text in texts])
        unit: NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        return unit


SETTINGS = Settings(permutations=199, embedder=Sums(), tokenizer=Bytes())


def signal_of(name: str, reference: Sample, window: Sample, seed: int = 7) -> DriftSignal:
    return DETECTORS[name](reference, window, replace(SETTINGS, seed=seed))


@pytest.mark.parametrize("name", DETECTORS)
def test_the_level_holds_without_drift(name: str) -> None:
    hits = sum((signal_of(name, sample(2 * k, 60), sample(2 * k + 1, 45), k).p_value or 0.0) <= 0.05 for k in range(60))
    assert hits <= 9  # 99.9 % limit of a binomial with 0.05


@pytest.mark.parametrize("name", DETECTORS)
def test_the_same_rows_and_seed_give_the_same_signal(name: str) -> None:
    first = signal_of(name, sample(1, 60), sample(2, 45))
    assert first == signal_of(name, sample(1, 60), sample(2, 45))
    assert first.detector == name and first.p_value is not None and first.effect is not None and first.sentence
    assert first.reference_rows > 50


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("bare", [True, False])
def test_without_what_it_needs_it_says_so(name: str, bare: bool) -> None:
    texts = tuple(Row("how do I get my card back please" if bare else "!!") for _ in range(40))
    found = DETECTORS[name](Sample(texts), Sample(texts), Settings(99))
    assert (found.found == "not comparable") == (found.p_value is None)
    assert found.p_value is None or found.p_value > 0.05


ODD = {
    "nothing": (),
    "one text": (Row("hello there"),),
    "constant": tuple(Row("where is my card") for _ in range(200)),
    "twenty rows": tuple(Row(f"where is my card {word}") for word in WORDS[:19]),
}


@pytest.mark.parametrize("odd", ODD)
def test_what_cannot_be_compared_is_said_and_never_an_alarm(odd: str) -> None:
    good = sample(3, 120)
    for sides in ((good, Sample(ODD[odd])), (Sample(ODD[odd]), good)):
        if odd == "constant":
            continue  # `draw` makes one row of them before they come here
        found, sentence, signals = find_drift(*sides, 0.05, SETTINGS)
        assert found == "not comparable" and "wanted" in sentence and signals == ()


def test_another_language_altogether_is_no_drift_but_another_reference() -> None:
    english = tuple(Row(f"how can I get my {a} back from the {b} please") for a in WORDS for b in WORDS)
    german = tuple(Row(f"wie kann ich die {a} von der {b} bitte zurück haben und wann") for a in WORDS for b in WORDS)
    found, sentence, _ = find_drift(Sample(english[:150]), Sample(german[:100]), 0.05, SETTINGS)
    assert found == "not comparable" and "German" in sentence and "new reference" in sentence


def test_all_together_stay_below_the_level() -> None:
    hits = sum(find_drift(sample(2 * k, 80), sample(2 * k + 1, 60), 0.05, SETTINGS)[0] != "none" for k in range(30))
    assert hits <= 6


def test_other_seeds_give_the_same_verdict_away_from_the_threshold() -> None:
    window = Sample(tuple(Row(f"zorblax {one.text}") if k % 3 == 0 else one for k, one in enumerate(sample(5, 150).rows)))
    for seed in range(4):
        settings = Settings(permutations_for(0.05), seed)
        assert find_drift(sample(4, 200), window, 0.05, settings)[0] == "drift"
        assert find_drift(sample(4, 200), sample(6, 150), 0.001, settings)[0] == "none"


def test_a_slice_alone_can_drift() -> None:
    def moved(one: Row) -> Row:
        return Row(f"{one.text} zorblax quux frobnicate", group=one.group) if one.group == "phone" else one

    window = Sample(tuple(moved(one) for one in sample(8, 300).rows))
    _, _, signals = find_drift(sample(7, 300), window, 0.05, Settings())
    assert {one.slice for one in signals if one.family == "slice" and one.found == "drift"} == {"phone"}
