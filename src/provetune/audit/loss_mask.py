"""Is exactly the assistant's text trained on."""

from __future__ import annotations

import numpy as np

from provetune.audit.inputs import AuditInput, EncodedRow, ids_of, rows_text
from provetune.protocols import Tokenizer
from provetune.records.data import Example, Finding


def loss_mask(inputs: AuditInput) -> list[Finding]:
    """Every row trains on some but not all tokens, on the assistant turns of weight 1 and on the token that ends each.

    Stock chat templates give masks of zeros or ones without a word, so nothing is assumed; each kind of fault is a blocker.
    """
    if inputs.tokenizer is None or inputs.encode is None:
        return []
    faults: dict[str, list[tuple[Example, str]]] = {}
    for example in inputs.examples:
        fault = _fault(example, inputs.encode(example), inputs.tokenizer)
        if fault is not None:
            faults.setdefault(fault[0], []).append((example, fault[1]))
    return [_finding(kind, rows, len(inputs.examples)) for kind, rows in faults.items()]


def _fault(example: Example, row: EncodedRow, tokenizer: Tokenizer) -> tuple[str, str] | None:
    """What is wrong with one row, and what was found; None if nothing."""
    ids, labelled = np.asarray(row.ids), np.asarray(row.labelled, dtype=bool)
    supervised = int(labelled.sum())
    if len(ids) != len(labelled):
        return "the mask does not have the length of the row", f"{len(ids)} tokens, {len(labelled)} marks"
    if supervised == 0:
        return "no token is trained on", f"0 of {len(ids)} tokens"
    if supervised == len(ids):
        return "every token is trained on, the prompt included", f"{supervised} of {len(ids)} tokens"
    turns = _turns(ids, labelled)
    written = [tokenizer.decode(turn).strip() for turn in turns]
    wanted = [message.content.strip() for message in example.messages if message.role == "assistant" and message.weight == 1]
    if written != wanted:
        return "the tokens trained on are not the assistant's text", f"found {_shown(written)}, wanted {_shown(wanted)}"
    if any(turn[-1] not in tokenizer.stop_ids for turn in turns):
        last = [turn[-1] for turn in turns]
        return "the token that ends the turn is not trained on, so the model would never stop", f"last tokens {last}"
    return None


def _turns(ids: np.ndarray, labelled: np.ndarray) -> list[list[int]]:
    """The ids of each unbroken run of supervised tokens."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], labelled.astype(np.int8), [0]])))
    return [ids[start:stop].tolist() for start, stop in edges.reshape(-1, 2)]


def _shown(texts: list[str], length: int = 60) -> str:
    joined = repr(texts)
    return joined if len(joined) <= length else joined[: length - 1] + "…"


def _finding(kind: str, rows: list[tuple[Example, str]], total: int) -> Finding:
    example, found = rows[0]
    return Finding(
        check="loss_mask",
        severity="blocker",
        message=f"In {rows_text(len(rows))} of {total:,} {kind}. First case, row {example.id}: {found}.",
        count=len(rows),
        example_ids=ids_of(example for example, _ in rows),
        observed=len(rows) / total,
        threshold=0.0,
        remedy="If all rows are listed, the chat template of the base model is at fault: choose another base.model or revision. "
        "If a few are, correct these rows: each needs at least one assistant turn of weight 1.",
    )
