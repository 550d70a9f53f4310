"""Rows that cannot be turned into tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from provetune.audit import audit
from provetune.chat import TokenRow
from provetune.errors import ModelError, ProvetuneError
from provetune.records.data import Example
from tests.unit.audit.rows import clean, encode, found, inputs, only


def refusing(row: Example) -> TokenRow:
    if row.id in ("r3", "r8"):
        raise ModelError(f"the chat template refuses {row.id}")
    return encode(row)


def test_a_row_that_cannot_be_encoded_is_a_finding() -> None:
    given = replace(inputs(clean()), encode=refusing)
    finding = only(found("template", given))
    assert (finding.severity, finding.count, finding.example_ids) == ("blocker", 2, ("r3", "r8"))
    assert "First case, row r3: the chat template refuses r3." in finding.message
    report = audit(given, "data")
    assert report.tokens is not None
    assert report.tokens.total == sum(len(encode(row)) for row in clean() if row.id not in ("r3", "r8"))
    assert [f.check for f in report.findings] == ["template"]


def test_many_rows_at_once_give_the_same() -> None:
    def together(rows: Sequence[Example]) -> list[TokenRow | ProvetuneError]:
        done: list[TokenRow | ProvetuneError] = []
        for row in rows:
            try:
                done.append(refusing(row))
            except ModelError as error:
                done.append(error)
        return done

    assert found("template", replace(inputs(clean()), encode=None, encode_rows=together)) == found(
        "template", replace(inputs(clean()), encode=refusing)
    )
