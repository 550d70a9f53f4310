"""Faults of the text itself, and ordinary text that looks like them."""

from __future__ import annotations

import pytest

from tests.unit.audit.rows import clean, example, found, inputs, only


@pytest.mark.parametrize(
    ("prompt", "target", "severity", "message"),
    [
        ("  ", "cards", "warning", "an empty prompt"),
        ("a question", " ", "warning", "an empty target"),
        ("a question", " cards", "info", "spaces or line ends"),
        ("a question", "cards\n", "info", "spaces or line ends"),
        ("a \x00 question", "cards", "warning", "control or replacement"),
        ("caf\ufffd", "cards", "warning", "control or replacement"),
        ("a<br/>question", "cards", "info", "HTML"),
        ('see <a href="x.html">this</a>', "cards", "info", "HTML"),
        ("fish &amp; chips", "cards", "info", "HTML"),
    ],
)
def test_format_faults(prompt: str, target: str, severity: str, message: str) -> None:
    finding = only(found("format", inputs([*clean(), example(99, prompt, target)])))
    assert (finding.severity, finding.count, finding.example_ids) == (severity, 1, ("r99",))
    assert message in finding.message


@pytest.mark.parametrize("prompt", ["if a<b and b>c", "x & y; z", "tabs\tand\nlines", "<unk> token", "日本語 👍"])
def test_ordinary_text_is_no_format_fault(prompt: str) -> None:
    assert found("format", inputs([*clean(), example(99, prompt, "cards")])) == []
