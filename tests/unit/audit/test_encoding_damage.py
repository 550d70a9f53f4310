"""Text read in another encoding than it was written in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provetune.audit.encoding_damage import mended
from tests.unit.audit.rows import clean, example, found, inputs, only


@pytest.mark.parametrize("text", ["François", "żółć", "Привет", "it’s", "£5 – naïve café", "👍 ok", "ÄÖÜ"])
@pytest.mark.parametrize("read_as", ["cp1252", "latin-1"])
def test_damage_is_found_and_mended(text: str, read_as: str) -> None:
    try:
        damaged = text.encode().decode(read_as)
    except UnicodeDecodeError:  # five bytes mean nothing in Windows-1252
        damaged = text.encode().decode("latin-1")
    assert mended(damaged) == text
    finding = only(found("encoding_damage", inputs([*clean(), example(99, f"see {damaged}", "cards")])))
    assert (finding.severity, finding.example_ids) == ("warning", ("r99",))


@pytest.mark.parametrize("text", ["François", "É à l’été", "NÃO", "„Ä“ und „Å“", "Å‘", "日本語", "Привет", "5 €", "Ñandú", "â€"])
def test_whole_text_is_left_alone(text: str) -> None:
    assert mended(text) is None


@given(st.text(alphabet=st.characters(max_codepoint=0x7F)))
def test_ascii_is_never_damaged(text: str) -> None:
    assert mended(text) is None
