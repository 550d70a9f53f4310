"""Which rows name which group of people, looked up once for all checks on groups."""

from __future__ import annotations

from provetune.audit.inputs import AuditInput, once
from provetune.slices import Group, rows_by_group

FEWEST_ROWS = 20
"""Rows that name a group, below which nothing is said about it."""


def named_rows(inputs: AuditInput) -> dict[Group, list[int]]:
    """Group -> places of the rows whose prompt names it."""
    return once(inputs, _look_up)


def different_rows(inputs: AuditInput) -> list[int]:
    """Places of the first row of each group of near-duplicates: copies are no further evidence."""
    seen: dict[int, int] = {}
    for place, group in enumerate(inputs.groups):
        seen.setdefault(group, place)
    return list(seen.values())


def _look_up(inputs: AuditInput) -> dict[Group, list[int]]:
    return rows_by_group(example.prompt_text for example in inputs.examples)
