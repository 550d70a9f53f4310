"""BLEU and chrF equal sacrebleu, whole corpora and resampled ones."""

from __future__ import annotations

import random

import numpy as np
import pytest
import sacrebleu

from provetune.metrics import METRICS
from provetune.metrics.base import Row
from tests.unit.metrics.rows import one, value

WRITTEN = ["The dog bit the man.", "It wasn't surprising.", "The man had just bitten him."]
RIGHT = [
    ["The dog bit the man.", "It was not unexpected.", "The man bit him first."],
    ["The dog had bit the man.", "No one was surprised.", "The man had bitten the dog."],
]
WORDS = ["the", "a", "cat", "Dog", "sat", "on", "mat,", "3,5", "don't", "(x)", "你好", "été"]


def rows_of(written: list[str], right: list[list[str]]) -> list[Row]:
    return [Row(right[0][k], text, references=tuple(texts[k] for texts in right[1:])) for k, text in enumerate(written)]


def drawn(seed: int) -> tuple[list[str], list[list[str]]]:
    draw = random.Random(seed)
    count = draw.randint(1, 8)

    def text() -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(1, 9)))

    return [text() for _ in range(count)], [[text() for _ in range(count)] for _ in range(draw.randint(1, 3))]


def test_the_example_of_sacrebleu_with_its_signature() -> None:
    rows = rows_of(WRITTEN, RIGHT)
    assert 100 * value("bleu", rows) == pytest.approx(48.530827, abs=1e-6)
    assert 100 * value("chrf", rows) == pytest.approx(59.73, abs=0.005)
    for ours, theirs in (("bleu", sacrebleu.BLEU(effective_order=True)), ("chrf", sacrebleu.CHRF())):
        theirs.corpus_score(WRITTEN, RIGHT)
        assert METRICS[ours].signature(rows) == theirs.get_signature().format()


@pytest.mark.parametrize("seed", range(40))
def test_statistics_summed_over_rows_give_the_corpus_score(seed: int) -> None:
    written, right = drawn(seed)
    rows = rows_of(written, right)
    bleu = sacrebleu.BLEU(effective_order=True).corpus_score(written, right).score
    assert 100 * value("bleu", rows) == pytest.approx(bleu, abs=1e-9)
    assert 100 * value("chrf", rows) == pytest.approx(sacrebleu.CHRF().corpus_score(written, right).score, abs=1e-9)


def test_with_four_words_in_a_row_bleu_is_sacrebleus_default() -> None:
    written, right = ["the cat sat on the mat", "no"], [["the cat sat on a mat", "yes"]]
    wanted = sacrebleu.BLEU().corpus_score(written, right).score
    assert 100 * value("bleu", rows_of(written, right)) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("name", ["bleu", "chrf"])
def test_a_resampled_corpus_is_the_corpus_of_the_drawn_rows(name: str) -> None:
    written, right = ["the cat sat on the mat", "a dog ran home late", "nothing"], [["the cat sat on a mat", "the dog ran home late", "x"]]
    rows, metric = rows_of(written, right), METRICS[name]
    observed = np.array([metric.observe(row) for row in rows], dtype=float)
    weights = np.array([[2.0, 0.0, 1.0], [0.0, 3.0, 0.0], [1.0, 1.0, 1.0]])
    for weight, found in zip(weights, metric.aggregate(observed, weights), strict=True):
        places = np.repeat(np.arange(3), weight.astype(int))
        again = [written[k] for k in places], [[right[0][k] for k in places]]
        tool = sacrebleu.BLEU(effective_order=True) if name == "bleu" else sacrebleu.CHRF()
        assert 100 * found == pytest.approx(tool.corpus_score(*again).score, abs=1e-9)


def test_short_and_empty_texts() -> None:
    assert one("bleu", "yes", "yes") == 1.0 and sacrebleu.corpus_bleu(["yes"], [["yes"]]).score == 0.0
    assert one("bleu", "", "") == one("chrf", "", "") == 1.0
    assert one("bleu", "yes", "") == one("chrf", "yes", "") == one("bleu", "", "yes") == one("chrf", "", "yes") == 0.0
    assert one("chrf", "你好世界", "你好世界") == 1.0 and 0 < one("chrf", "你好世界", "你好") < 1
