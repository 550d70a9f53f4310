"""Exact match, word F1 and ROUGE against published values and rouge-score."""

from __future__ import annotations

import random

import pytest
from rouge_score import rouge_scorer, tokenizers

from provetune.metrics import METRICS
from provetune.metrics.base import Row
from provetune.metrics.overlap import Rouge, ascii_words, rouge, rouge_f1, rouge_l, token_f1
from tests.unit.metrics.rows import one, value

GUNMAN = "police killed the gunman"
FOX = ("The quick brown fox jumps over the lazy dog", "The quick brown dog jumps on the log.")


@pytest.mark.parametrize(
    ("completion", "kind", "wanted"),
    [
        ("police kill the gunman", "L", 0.75),
        ("the gunman kill police", "L", 0.5),
        ("the gunman police killed", "L", 0.5),
        ("the gunman police killed", "1", 1.0),
        ("the gunman police killed", "2", 2 / 3),
    ],
)
def test_the_values_of_lin_2004(completion: str, kind: Rouge, wanted: float) -> None:
    assert rouge_f1(GUNMAN, completion, kind) == pytest.approx(wanted)


@pytest.mark.parametrize(("kind", "wanted"), [("1", (0.75, 0.6667, 0.7059)), ("2", (0.2857, 0.25, 0.2667)), ("L", (0.625, 0.5556, 0.5882))])
def test_the_brown_fox(kind: Rouge, wanted: tuple[float, float, float]) -> None:
    stemmed = tokenizers.DefaultTokenizer(use_stemmer=True)
    assert rouge(stemmed.tokenize(FOX[0]), stemmed.tokenize(FOX[1]), kind) == pytest.approx(wanted, abs=5e-5)
    assert rouge_l(*FOX) == pytest.approx(10 / 17)


# target, completion: random words that Perl ROUGE-1.5.5 scored; pairs 0 and 1 of google-research, rouge/testdata/pyrouge_files
PERL = [
    (
        "ZfbCUIUuePaiLVUlCaUXxkpu XPeWing tUHfPMuZ',-Xd Y BrUgVJing M-HV.-DgdDaY.rFDJCRing Ht-LM EKBDXkME,yz'RBr q'wtion wIojNbN wL,b "
        ".a-'XdQggyFl jB-RPP'iyOIcUxer tKM L",
        "rFDJCRtion Ht-LM EKtDXkME,yz'RBr q'wer wrojNbN wL,b .a-'XdQggyFl jB-RPP'iyOIcUxi",
    ),
    (
        "KsJdPByEtAor fE-Qg Dpdbring cw-WeFyu vC MoBL Xdn g wkvcEiGvKtion BDFhrpMtion psing sbKao Q m qiing LMmer HqqLFXe,XPY,J XsurkMer "
        ",ed nB'wH'bWVHjWFEing tQ.saefZwJtKrTlixYpMMsJing UCAPwNHeYVjDing c T BUySKtion gMPfJpwGw p'NvxAoping eu pBwMBKV'I "
        "DNxqelhu,PHPxDEq,mtion SN",
        "n cw-WeFyu vC MoBL Xdn g wkvcEiGvKtion BDFhrpMer pstion sbKao Q m qier LMmed HqqLFXe,XPY,J XsurkMeo ,ed nB'wH'bWVHjWFEer "
        "tQ.saefZwJtKrTlixYpMMNJtion UCAPwNHeYVjD",
    ),
]


def test_the_values_of_perl_rouge() -> None:
    (first, first_completion), (second, second_completion) = PERL
    assert rouge(ascii_words(first), ascii_words(first_completion), "1") == pytest.approx((0.6875, 0.40741, 0.51163), abs=5e-6)
    assert rouge_f1(first, first_completion, "2") == pytest.approx(0.39024, abs=5e-6)
    assert rouge_l(first, first_completion) == pytest.approx(0.51163, abs=5e-6)
    assert rouge(ascii_words(second), ascii_words(second_completion), "1") == pytest.approx((0.65385, 0.40476, 0.5), abs=5e-6)
    assert rouge_f1(second, second_completion, "2") == pytest.approx(0.36364, abs=5e-6)
    stem = tokenizers.DefaultTokenizer(use_stemmer=True).tokenize
    assert rouge(stem(second), stem(second_completion), "1") == pytest.approx((0.69231, 0.42857, 0.52941), abs=5e-6)


@pytest.mark.parametrize("kind", ["1", "2", "L"])
def test_random_texts_score_as_rouge_score_has_them(kind: Rouge) -> None:
    draw = random.Random(int(kind, 36))
    scorer = rouge_scorer.RougeScorer([f"rouge{kind}"], use_stemmer=False)
    words = ["the", "cat", "CAT", "sat.", "on_mat", "3,5", "don't", "x", "7"]
    for _ in range(150):
        target, completion = (" ".join(draw.choices(words, k=draw.randint(2, 12))) for _ in range(2))
        if target.split() != completion.split():
            assert rouge_f1(target, completion, kind) == pytest.approx(scorer.score(target, completion)[f"rouge{kind}"].fmeasure)


@pytest.mark.parametrize(
    "text", ["你好世界", "こんにちは", "안녕하세요", "café déjà vu", "привет мир", "नमस्ते दुनिया", "สวัสดี", "🙂", "?!", ""]
)
def test_identical_chinese_text_scores_1_and_the_words_used_are_named(text: str) -> None:
    assert all(rouge_f1(text, text, kind) == 1.0 for kind in ("1", "2", "L"))
    other = any(letter.isalpha() and ord(letter) > 127 for letter in text)
    assert ("Unicode in 1 of 1 rows" in METRICS["rouge_l"].signature([Row(text, text)])) == other


def test_other_scripts_are_compared_word_by_word() -> None:
    assert rouge_l("привет мир", "привет дом") == pytest.approx(0.5)
    assert rouge_l("你好世界", "你好") == pytest.approx(2 / 3)
    assert rouge_l("café noir", "caf noir") == pytest.approx(0.5)
    assert token_f1("你好世界", "你好") == pytest.approx(2 / 3)


@pytest.mark.parametrize("name", ["rouge_1", "rouge_2", "rouge_l", "token_f1"])
@pytest.mark.parametrize(("target", "completion"), [("police", ""), ("", "police"), ("🙂", "🙁"), ("cat", "dog")])
def test_nothing_in_common_scores_0(name: str, target: str, completion: str) -> None:
    assert one(name, target, completion) == 0.0


@pytest.mark.parametrize(
    ("target", "completion", "same"),
    [("a b", "a b", True), ("a b", " a\n b ", True), ("a b", "ab", False), ("A b", "a b", False), ("", " ", True), ("a", "", False)],
)
def test_exact_match_looks_past_spaces_only(target: str, completion: str, same: bool) -> None:
    assert one("exact_match", target, completion) == float(same)


def test_word_f1_of_squad() -> None:
    # 1 shared word of 2 and 3, once case, punctuation and articles are gone (counted by hand)
    assert token_f1("the Denver Broncos", "Broncos won, again!") == pytest.approx(0.4)
    assert token_f1("a cat", "The cat.") == 1.0


def test_empty_against_empty_is_1_and_against_text_0() -> None:
    assert token_f1("", "") == 1.0 and token_f1("text", "") == 0.0 and token_f1("", "text") == 0.0


@pytest.mark.parametrize("name", ["exact_match", "token_f1", "rouge_1", "rouge_l"])
def test_the_right_text_that_fits_best_counts(name: str) -> None:
    assert value(name, [Row("no", "sure thing", references=("yes", "sure thing"))]) == 1.0
