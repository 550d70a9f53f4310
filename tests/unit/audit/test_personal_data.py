"""Rows with personal data: what blocks, what warns, what the project file decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from provetune.audit import audit
from provetune.audit.inputs import share
from provetune.personal_data import Hit
from provetune.spec import PersonalDataSpec
from tests.unit.audit.rows import clean, example, found, inputs, only

CARD, MAIL = "charge 4111 1111 1111 1111 again", "write to jo@example.org"


def test_numbers_of_accounts_block_and_addresses_warn() -> None:
    rows = [*clean(), example(99, CARD, "fees"), example(100, MAIL, "fees"), example(101, MAIL + " or call +49 30 1234567", "cash")]
    card, mail = found("personal_data", inputs(rows))
    assert (card.severity, card.count, card.example_ids, card.observed) == ("blocker", 1, ("r99",), share(1, 83))
    assert (mail.severity, mail.count, mail.example_ids) == ("warning", 2, ("r100", "r101"))
    assert "email 2, phone 1" in mail.message
    assert not any("4111" in text or "example.org" in text for text in (card.message, mail.message))


@pytest.mark.parametrize(("action", "severity"), [("report", "info"), ("mask", "blocker"), ("drop", "blocker")])
def test_the_project_file_decides(action: str, severity: str) -> None:
    wanted = PersonalDataSpec.model_validate({"action": action, "kinds": ["email"]})
    finding = only(found("personal_data", replace(inputs([*clean(), example(99, f"{MAIL}, {CARD}", "fees")]), personal_data=wanted)))
    assert (finding.severity, finding.count) == (severity, 1)
    assert "credit card" not in finding.message


def test_targets_and_system_lines_are_read_too() -> None:
    rows = [*clean(), example(99, "a question", MAIL), example(100, "a question more", "fees", f"Sign as {MAIL}")]
    assert only(found("personal_data", inputs(rows))).example_ids == ("r99", "r100")


@dataclass(frozen=True)
class Names:
    """A recogniser of one name."""

    looks_for: str = "first names (a list of one)"

    def find(self, text: str) -> Sequence[Hit]:
        at = text.find("Ada")
        return [] if at < 0 else [Hit("name", at, at + 3)]


def test_what_was_not_looked_for_is_said() -> None:
    rows = [*clean(), example(99, "Ada asks for her card", "cards")]
    assert found("personal_data", inputs(rows)) == []
    assert "Names and addresses were not looked for." in audit(inputs(rows), "data").not_measured
    with_names = replace(inputs(rows), recogniser=Names())
    assert "name 1" in only(found("personal_data", with_names)).message
    assert any("a list of one" in text for text in audit(with_names, "data").not_measured)
