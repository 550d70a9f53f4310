"""What the base model's tokenizer makes of each row, computed once for all checks on tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from provetune.audit.inputs import AuditInput, EncodedRow, EncodeRows, once
from provetune.errors import ProvetuneError
from provetune.protocols import Tokenizer
from provetune.records.data import Example, Message
from provetune.similarity.minhash import ahead

_ROWS = 500
"""Rows encoded at once; their tokens are then let go, so that a million rows fit into memory."""


@dataclass(frozen=True)
class TokenFacts:
    """Tokens of each row and how many of them are learned, shape [rows], 0 where a row cannot be encoded.

    `errors` says why, by place; `faults` says what is wrong with the loss mask and what was found.
    """

    lengths: NDArray[np.int64]
    supervised: NDArray[np.int64]
    errors: dict[int, str]
    faults: dict[int, tuple[str, str]]


def token_facts(inputs: AuditInput) -> TokenFacts | None:
    """The facts; None without a tokenizer."""
    return once(inputs, _counted)


def _counted(inputs: AuditInput) -> TokenFacts | None:
    if inputs.tokenizer is None or (inputs.encode is None and inputs.encode_rows is None):
        return None
    count = len(inputs.examples)
    facts = TokenFacts(np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64), {}, {})
    for place, (example, row) in enumerate(zip(inputs.examples, _encoded(inputs), strict=True)):
        if isinstance(row, ProvetuneError):
            facts.errors[place] = str(row)
            continue
        facts.lengths[place] = len(row.ids)
        facts.supervised[place] = np.count_nonzero(row.labelled)
        fault = _fault(example, row, inputs.tokenizer)
        if fault is not None:
            facts.faults[place] = fault
    return facts


def _encoded(inputs: AuditInput) -> Iterator[EncodedRow | ProvetuneError]:
    encode_rows = inputs.encode_rows or _one_by_one(inputs)
    parts = (inputs.examples[low : low + _ROWS] for low in range(0, len(inputs.examples), _ROWS))
    done = 0
    # one part is rendered while the tokenizer, which runs outside of Python, takes another
    for rows in ahead(encode_rows, parts, workers=2):
        yield from rows
        done += len(rows)
        inputs.progress("audit: tokens", done, len(inputs.examples))


def _one_by_one(inputs: AuditInput) -> EncodeRows:
    def encoded(part: Sequence[Example]) -> list[EncodedRow | ProvetuneError]:
        found: list[EncodedRow | ProvetuneError] = []
        for example in part:
            try:
                assert inputs.encode is not None
                found.append(inputs.encode(example))
            except ProvetuneError as error:
                found.append(error)
        return found

    return encoded


def _fault(example: Example, row: EncodedRow, tokenizer: Tokenizer) -> tuple[str, str] | None:
    """What is wrong with one row, and what was found; None if nothing."""
    ids, labelled = np.asarray(row.ids), np.asarray(row.labelled, dtype=bool)
    supervised = int(np.count_nonzero(labelled))
    if len(ids) != len(labelled):
        return "the mask does not have the length of the row", f"{len(ids)} tokens, {len(labelled)} marks"
    if supervised == 0:
        return "no token is trained on", f"0 of {len(ids)} tokens"
    if supervised == len(ids):
        return "every token is trained on, the prompt included", f"{supervised} of {len(ids)} tokens"
    turns = _turns(ids, labelled)
    written = [tokenizer.decode(turn).strip() for turn in turns]
    wanted = [message for message in example.messages if message.role == "assistant" and message.weight == 1]
    if len(written) != len(wanted) or not all(map(_says, written, wanted)):
        return (
            "the tokens trained on are not the assistant's text",
            f"found {_shown(written)}, wanted {_shown([message.text.strip() for message in wanted])}",
        )
    if any(turn[-1] not in tokenizer.stop_ids for turn in turns):
        last = [turn[-1] for turn in turns]
        return "the token that ends the turn is not trained on, so the model would never stop", f"last tokens {last}"
    return None


def _says(written: str, message: Message) -> bool:
    """Whether the text is the message's own; a template writes tool calls in its own way, but names each."""
    if message.tool_calls:
        return message.content.strip() in written and all(call.name in written for call in message.tool_calls)
    return written == message.content.strip()


def _turns(ids: NDArray[np.integer], labelled: NDArray[np.bool_]) -> list[list[int]]:
    """The ids of each unbroken run of supervised tokens."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], labelled.astype(np.int8), [0]])))
    return [ids[start:stop].tolist() for start, stop in edges.reshape(-1, 2)]


def _shown(texts: list[str], length: int = 60) -> str:
    joined = repr(texts)
    return joined if len(joined) <= length else joined[: length - 1] + "…"
