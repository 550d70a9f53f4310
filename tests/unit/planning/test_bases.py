"""How tokenizers cut text, which bases are told apart, and which none beats."""

from __future__ import annotations

import pytest

from provetune.models.tokenizer import FolderTokenizer
from provetune.planning.bases import fertility, pareto, tiers


def test_a_byte_tokenizer_takes_a_token_a_letter_and_breaks_the_long_ones(tiny_tokenizer: FolderTokenizer) -> None:
    """Worked out by hand: UTF-8 has one byte for `a`, two for `é`, three for `€`."""
    plain = fertility(tiny_tokenizer, ["abc de"], [10, 600], longest=512)
    assert (plain.tokens_per_word, plain.tokens_per_character, plain.byte_share) == (3.0, 1.0, 0.0)
    assert (plain.truncated_share, plain.longest, plain.rows) == (0.5, 600, 1)
    broken = fertility(tiny_tokenizer, ["aé€"], [6], longest=512)
    assert broken.tokens_per_character == 2.0 and broken.byte_share == pytest.approx(5 / 6)


def test_the_starter_needs_fewer_tokens_for_english_than_for_other_letters(starter_tokenizer: FolderTokenizer) -> None:
    english = fertility(starter_tokenizer, ["where is the parcel that was sent last week"], [12], longest=1024)
    chinese = fertility(starter_tokenizer, ["上周寄出的包裹在哪里"], [30], longest=1024)
    assert 1.0 <= english.tokens_per_word < 2.0 and english.byte_share == 0.0
    assert chinese.tokens_per_character > 5 * english.tokens_per_character and chinese.byte_share > 0.9


def test_no_text_is_an_error(tiny_tokenizer: FolderTokenizer) -> None:
    with pytest.raises(ValueError, match="no text"):
        fertility(tiny_tokenizer, ["", "  "], [], longest=512)


def test_a_tier_is_left_by_whoever_is_told_apart_from_its_first() -> None:
    apart = {("a", "c"), ("a", "d"), ("c", "d")}
    assert tiers(["a", "b", "c", "d"], lambda better, worse: (better, worse) in apart) == {"a": 1, "b": 1, "c": 2, "d": 3}
    assert tiers([], lambda *_: True) == {}


def test_nobody_is_beaten_by_a_hair_of_time() -> None:
    assert pareto({"a": (0.5, 10.0, 1.0), "b": (0.5, 9.5, 1.05)}) == {"a", "b"}
    assert pareto({"a": (0.5, 10.0, 1.0), "b": (0.5, 8.0, 1.0), "c": (0.4, 8.0, 1.0)}) == {"b"}
