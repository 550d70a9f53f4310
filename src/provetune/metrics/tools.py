"""Calls of tools: the right functions with the right arguments."""

from __future__ import annotations

from typing import Any

from provetune.metrics.base import Metric, Row, weighted_mean
from provetune.metrics.fields import field_f1
from provetune.metrics.structure import parsed


def tool_calls(text: str) -> list[dict[str, Any]]:
    r"""The calls that a completion holds: each line that is a JSON object of `name` and `arguments` alone.

    >>> tool_calls('Let me look.\n{"name": "weather", "arguments": {"city": "Bern"}}')
    [{'name': 'weather', 'arguments': {'city': 'Bern'}}]
    """
    values = (parsed(line)[0] for line in text.splitlines() if line.lstrip().startswith("{"))
    calls = (value for value in values if isinstance(value, dict) and value.keys() == {"name", "arguments"})
    return [call for call in calls if isinstance(call["name"], str) and isinstance(call["arguments"], dict)]


def _exact(row: Row) -> tuple[float, ...]:
    """1 where both make the same calls, in any order; no call where none is wanted is right too, provided anything was said."""
    ours, theirs = tool_calls(row.target), tool_calls(row.completion)
    if not ours:
        return (float(not theirs and bool(row.completion.strip() or not row.target.strip())),)
    return (float(len(ours) == len(theirs) and field_f1(ours, theirs) == 1.0),)


def _has_calls(row: Row) -> bool:
    return bool(tool_calls(row.target))


TOOL_CALLS = Metric("tool_calls", 1, "binary", _exact, weighted_mean, needs=frozenset({"tools"}), applies=_has_calls)
