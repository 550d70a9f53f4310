"""The same prompt with different labels."""

from __future__ import annotations

import numpy as np

from provetune.audit.inputs import AuditInput, ids_of, rows_alike, share, shortened
from provetune.audit.keys import row_keys
from provetune.records.data import Example, Finding
from provetune.similarity import NEARLY_EQUAL, grouped

BLOCK_ABOVE = 0.05


def conflicting_labels(inputs: AuditInput) -> list[Finding]:
    """Groups of equal or nearly equal prompts (J >= 0.9) that carry more than one label; a blocker above 5 % of all groups.

    A group here is one prompt with its copies, so a data set without copies has as many groups as rows. Prompts under
    different system lines are different questions and never in conflict.
    """
    conflicts, prompts = _conflicts(inputs)
    if not conflicts:
        return []
    part = len(conflicts) / prompts
    first = conflicts[0]
    return [
        Finding(
            check="conflicting_labels",
            severity="blocker" if part > BLOCK_ABOVE else "warning",
            message=f"{len(conflicts):,} of {prompts:,} different prompts ({part:.1%}) carry more than one label, for example "
            f"{shortened(first[0].prompt_text)!r}: {shortened(', '.join(sorted({str(row.label) for row in first})), 200)}.",
            count=len(conflicts),
            example_ids=ids_of(row for rows in conflicts for row in rows),
            observed=share(len(conflicts), prompts),
            threshold=BLOCK_ABOVE,
            remedy="Decide which label each of these prompts should have, correct the rows (the ids stand together group by group), "
            "and write the rule into the labelling guideline.",
        )
    ]


def _conflicts(inputs: AuditInput) -> tuple[list[list[Example]], int]:
    """The labelled rows of each prompt with several labels, worst first; and how many different prompts there are."""
    examples = inputs.examples
    numbers: dict[str, int] = {}
    labels = np.array([-1 if row.label is None else numbers.setdefault(row.label, len(numbers)) for row in examples], dtype=np.int64)
    prompt_of = _prompts(inputs, labels >= 0)[labels >= 0]
    rows = np.flatnonzero(labels >= 0)
    pairs = np.unique(np.stack([prompt_of, labels[rows]], axis=1), axis=0)
    several = np.flatnonzero(np.bincount(pairs[:, 0]) > 1)
    members: dict[int, list[Example]] = {prompt: [] for prompt in several.tolist()}
    for place in np.flatnonzero(np.isin(prompt_of, several)).tolist():
        members[int(prompt_of[place])].append(examples[rows[place]])
    return sorted(members.values(), key=_disagreement, reverse=True), len(np.unique(prompt_of))


def _prompts(inputs: AuditInput, labelled: np.ndarray) -> np.ndarray:
    """The number of each row's prompt: equal, or joined by J >= 0.9 under the same system line."""
    keys = row_keys(inputs)
    _, first, where = np.unique(keys.prompt, return_index=True, return_inverse=True)
    near = rows_alike(inputs).near.at_least(NEARLY_EQUAL)
    kept = labelled[near.left] & labelled[near.right] & (keys.system[near.left] == keys.system[near.right])
    left = np.concatenate([np.arange(len(where)), near.left[kept]])
    right = np.concatenate([first[where], near.right[kept]])
    return grouped(len(where), left, right)


def _disagreement(rows: list[Example]) -> tuple[int, int]:
    """Number of labels, then of rows: the worst conflict is the largest."""
    return len({row.label for row in rows}), len(rows)
