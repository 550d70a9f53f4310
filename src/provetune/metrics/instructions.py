"""Verifiable instructions (after IFEval, Zhou et al. 2023): length, order, words that must or must not stand, form."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import JsonValue

from provetune.errors import DataError
from provetune.metrics.base import Metric, Row, weighted_mean
from provetune.metrics.overlap import unicode_words
from provetune.metrics.structure import parsed

_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+\S", re.MULTILINE)
_SENTENCE_END = re.compile(r"[.!?。！？]+(?=\s|$|[^\x00-\x7f])")


def _sentences(text: str) -> int:
    return sum(any(map(str.isalnum, part)) for part in _SENTENCE_END.split(text))


def _paragraphs(text: str) -> int:
    return sum(bool(part.strip()) for part in re.split(r"\n\s*\n", text))


COUNTS: dict[str, Callable[[str], int]] = {
    "characters": lambda text: len(text.strip()),
    "words": lambda text: len(unicode_words(text)),
    "sentences": _sentences,
    "paragraphs": _paragraphs,
    "lines": lambda text: sum(bool(line.strip()) for line in text.splitlines()),
    "bullets": lambda text: len(_BULLET.findall(text)),
}
"""What can be counted: `{"count": "words", "min": 20, "max": 50}`."""


def _in_order(text: str, wanted: list[str]) -> bool:
    place = 0
    for part in wanted:
        place = text.find(part, place)
        if place < 0:
            return False
        place += len(part)
    return True


FORMS: dict[str, Callable[[str, list[str]], bool]] = {
    "contains": lambda text, wanted: all(part in text for part in wanted),
    "contains_any": lambda text, wanted: any(part in text for part in wanted),
    "avoids": lambda text, wanted: not any(re.search(rf"(?<!\w){re.escape(part)}(?!\w)", text) for part in wanted),
    "in_order": _in_order,
    "starts_with": lambda text, wanted: text.startswith(tuple(wanted)),
    "ends_with": lambda text, wanted: text.endswith(tuple(wanted)),
}
"""What a text can be held to, without regard to case: `{"contains": ["refund", "14 days"]}`."""

CASES: dict[str, Callable[[str], bool]] = {"lower": lambda text: text == text.lower(), "upper": lambda text: text == text.upper()}


def follows(completion: str, instruction: Mapping[str, Any]) -> bool:
    """Whether a completion follows one instruction; an empty one follows none.

    An instruction is an object with one of: `count` (see `COUNTS`, with `min`, `max` or both), a key of `FORMS` with a text or a list
    of texts, `case` (`lower`, `upper`), `json` (true: the whole text is JSON). Raises DataError on anything else.

    >>> follows("Dear Anna, all is well.", {"count": "words", "max": 5}), follows("B, then A", {"in_order": ["a", "b"]})
    (True, False)
    """
    text = completion.strip()
    key = next(iter(instruction), None)
    limits = [instruction.get(name) for name in ("min", "max")]
    if str(instruction.get("count")) in COUNTS and limits != [None, None] and instruction.keys() <= {"count", "min", "max"}:
        if all(limit is None or (isinstance(limit, int) and not isinstance(limit, bool)) for limit in limits):
            found = COUNTS[str(instruction["count"])](text)
            low, high = limits
            return bool(text) and (low is None or found >= low) and (high is None or found <= high)
    elif len(instruction) == 1 and key in FORMS:
        wanted = [instruction[key]] if isinstance(instruction[key], str) else instruction[key]
        if isinstance(wanted, list) and wanted and all(isinstance(part, str) and part for part in wanted):
            return bool(text) and FORMS[key](text.casefold(), [part.casefold() for part in wanted])
    elif instruction == {"json": True}:
        return parsed(text)[1]
    elif len(instruction) == 1 and str(instruction.get("case")) in CASES:
        return bool(text) and CASES[str(instruction["case"])](text)
    known = f"count ({', '.join(COUNTS)}) with min or max, {', '.join(FORMS)} with texts, case (lower, upper), json (true)"
    found_text = json.dumps(dict(instruction), ensure_ascii=False)[:200]
    raise DataError(f"found the instruction {found_text}; wanted an object with one of: {known}; correct the column 'instructions'")


def instructions_of(row: Row) -> list[dict[str, JsonValue]]:
    """The row's instructions: its column `instructions`, a list of objects, or such a list as JSON text; plain text is none.

    Raises DataError where a list is no list of objects.
    """
    column = row.meta.get("instructions")
    if column is None or (isinstance(column, str) and not column.lstrip().startswith("[")):
        return []
    given = parsed(column)[0] if isinstance(column, str) else column
    found = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    if not isinstance(given, list) or len(found) < len(given):
        raise DataError(
            f"found the instructions {str(column)[:200]!r}; wanted a list of objects such as "
            '[{"count": "words", "max": 50}]; correct the column \'instructions\''
        )
    return found


def _observe(row: Row) -> tuple[float, ...] | None:
    """Share of the row's instructions that are followed, whether all are, and how many there are."""
    given = instructions_of(row)
    if not given:
        return None
    share = sum(follows(row.completion, one) for one in given) / len(given)
    return (share, float(share == 1), float(len(given)))


def _all(row: Row) -> tuple[float, ...] | None:
    found = _observe(row)
    return None if found is None else (found[1],)


def _has_instructions(row: Row) -> bool:
    return bool(instructions_of(row))


INSTRUCTIONS = Metric("instructions", 1, "mean", _observe, weighted_mean, needs=frozenset({"instructions"}), applies=_has_instructions)
INSTRUCTIONS_ALL = Metric(
    "instructions_all", 1, "binary", _all, weighted_mean, needs=frozenset({"instructions"}), applies=_has_instructions
)
