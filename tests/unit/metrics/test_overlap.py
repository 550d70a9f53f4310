"""ROUGE-L and exact match against published values."""

from __future__ import annotations

import pytest

from provetune.metrics import METRICS
from provetune.metrics.overlap import rouge_l

GUNMAN = "police killed the gunman"


@pytest.mark.parametrize(
    ("completion", "value"), [("police kill the gunman", 0.75), ("the gunman kill police", 0.5), ("the gunman police killed", 0.5)]
)
def test_the_values_of_lin_2004(completion: str, value: float) -> None:
    assert rouge_l(GUNMAN, completion) == pytest.approx(value)


def test_the_brown_fox() -> None:
    # no stemmer: 4 of 9 and of 8 words in order would be "the quick brown ... dog"; "jumps" follows "dog" in the completion only
    found = rouge_l("The quick brown fox jumps over the lazy dog", "The quick brown dog jumps on the log.")
    assert found == pytest.approx(10 / 17)  # .5882


@pytest.mark.parametrize(
    "text", ["你好世界", "こんにちは", "안녕하세요", "café déjà vu", "привет мир", "नमस्ते दुनिया", "สวัสดี", "🙂", "?!", ""]
)
def test_identical_texts_of_any_script_score_1(text: str) -> None:
    assert rouge_l(text, text) == 1.0


def test_other_scripts_are_compared_word_by_word() -> None:
    assert rouge_l("привет мир", "привет дом") == pytest.approx(0.5)
    assert rouge_l("你好世界", "你好") == pytest.approx(2 / 3)
    assert rouge_l("café noir", "caf noir") == pytest.approx(0.5)


@pytest.mark.parametrize(("target", "completion"), [("police", ""), ("", "police"), ("🙂", "🙁"), ("cat", "dog")])
def test_nothing_in_common_scores_0(target: str, completion: str) -> None:
    assert rouge_l(target, completion) == 0.0


@pytest.mark.parametrize(
    ("target", "completion", "same"),
    [("a b", "a b", True), ("a b", " a\n b ", True), ("a b", "ab", False), ("A b", "a b", False), ("", " ", True), ("a", "", False)],
)
def test_exact_match_looks_past_spaces_only(target: str, completion: str, same: bool) -> None:
    assert METRICS["exact_match"].observe(target, completion, ()) == (float(same),)
