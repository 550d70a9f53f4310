"""What each row says, as numbers: equal numbers stand for equal words, whatever their case, punctuation or spaces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from provetune.audit.inputs import AuditInput, once
from provetune.similarity.normal_form import digest, mixed, normalise

Keys = NDArray[np.uint64]


@dataclass(frozen=True)
class RowKeys:
    """Keys of shape [rows]: of system line and user's words in normal form, and of the target without outer spaces.

    `system` is the key of the system line alone.
    """

    system: Keys
    prompt: Keys
    target: Keys


def row_keys(inputs: AuditInput) -> RowKeys:
    """The keys of all rows, computed once."""
    return once(inputs, _keys)


def _keys(inputs: AuditInput) -> RowKeys:
    lines: dict[str, int] = {}
    found = np.empty((3, len(inputs.examples)), dtype=np.uint64)
    for row, example in enumerate(inputs.examples):
        line = "\n".join(message.content for message in example.prompt_messages if message.role == "system")
        if line not in lines:
            lines[line] = digest(normalise(line))
        found[:, row] = lines[line], digest(normalise(example.prompt_text)), digest(example.target.strip())
    system, prompt, target = found
    return RowKeys(system, mixed(system) ^ prompt, target)


def repeated(keys: Keys) -> list[list[int]]:
    """The places of each key that stands in more than one, largest group first, then in the order of the rows.

    >>> repeated(np.array([7, 5, 7, 7, 5, 1], dtype=np.uint64))
    [[0, 2, 3], [1, 4]]
    """
    order = np.argsort(keys, kind="stable")
    edges = np.flatnonzero(np.diff(keys[order])) + 1
    return sorted((part.tolist() for part in np.split(order, edges) if len(part) > 1), key=lambda rows: (-len(rows), rows[0]))
