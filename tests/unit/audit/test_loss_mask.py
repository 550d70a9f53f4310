"""What is trained on: planted faults of the mask are found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from provetune.audit import AuditInput
from provetune.chat import TokenRow, encode_training
from provetune.records.data import Example, Message
from tests.unit.audit.rows import TOKENIZER, clean, encode, found, inputs, only


def relabelled(change: Callable[[TokenRow], TokenRow]) -> AuditInput:
    """A clean set of which one row is encoded wrongly."""
    return replace(inputs(clean()), encode=lambda row: change(encode(row)) if row.id == "r7" else encode(row))


def shifted(row: TokenRow) -> TokenRow:
    return TokenRow(row.ids, np.roll(row.labelled, -1))


def without_stop(row: TokenRow) -> TokenRow:
    return TokenRow(row.ids, row.labelled & (row.ids != 2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: TokenRow(row.ids, np.zeros_like(row.labelled)), "no token is trained on"),
        (lambda row: TokenRow(row.ids, np.ones_like(row.labelled)), "every token is trained on"),
        (shifted, "not the assistant's text"),
        (without_stop, "would never stop"),
    ],
)
def test_a_wrong_loss_mask_blocks(change: Callable[[TokenRow], TokenRow], message: str) -> None:
    finding = only(found("loss_mask", relabelled(change)))
    assert (finding.severity, finding.count, finding.example_ids) == ("blocker", 1, ("r7",))
    assert message in finding.message
    assert "1 row of 80" in finding.message


def test_several_turns_and_weights_are_masked_rightly() -> None:
    turns = [
        ("user", "hi", 1),
        ("assistant", "hello", 0),
        ("user", "topic?", 1),
        ("assistant", "cards", 1),
        ("user", "?", 1),
        ("assistant", "yes", 1),
    ]
    messages = tuple(Message.model_validate({"role": role, "content": text, "weight": weight}) for role, text, weight in turns)
    row = Example(id="chat", messages=messages)
    assert found("loss_mask", inputs([row])) == []
    all_turns = replace(
        inputs([row]), encode=lambda row: encode_training([m.model_copy(update={"weight": 1}) for m in row.messages], TOKENIZER)
    )
    assert "['hello', 'cards', 'yes'], wanted ['cards', 'yes']" in only(found("loss_mask", all_turns)).message
