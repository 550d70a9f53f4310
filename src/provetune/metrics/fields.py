"""Field-level F1 of JSON: which of the values that should be there are there, under the same path, rows of lists aligned."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
from rapidfuzz import fuzz

from provetune.errors import SpecError
from provetune.metrics.base import Metric, Row, weighted_mean
from provetune.metrics.overlap import f1_of
from provetune.metrics.structure import parsed

ALIKE = 90
"""Similarity (rapidfuzz ratio, 0-100) from which texts are the same under the comparator `fuzzy`."""
PAIRS = 40_000
"""Lists are aligned row by row up to so many pairs; above, equal rows are found first and the others go by their place."""
DATES = ("%d.%m.%Y", "%d %B %Y", "%d %b %Y", "%B %d, %Y", "%b %d, %Y", "%Y/%m/%d")
COMPARATORS = ("exact", "numeric", "date", "fuzzy")


def field_f1(target: Any, completion: Any, schema: Any = None) -> float:
    """F1 over the values (leaves) of two JSON values: shared values against all of both; 1 where both hold none.

    Rows of a list are paired so that most values agree (`linear_sum_assignment`), so their order does not matter. Numbers are equal
    within a millionth, texts up to spaces and Unicode form; a part of `schema` may say `"x-compare"`: `exact` (default), `numeric`
    ("1,200.50" is 1200.5), `date` ("3 May 2024" is "2024-05-03") or `fuzzy` (rapidfuzz ratio of at least 90).

    >>> field_f1({"items": [{"name": "pen", "count": 2}, {"name": "cup", "count": 1}]},
    ...          {"items": [{"name": "cup", "count": 2}, {"name": "pen", "count": 1}]})
    0.5
    """
    return f1_of(_shared(target, completion, schema), _leaves(target), _leaves(completion))


def _leaves(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 1 if not inner else sum(map(_leaves, inner))


def _shared(target: Any, completion: Any, schema: Any) -> int:
    part = schema if isinstance(schema, dict) else {}
    if isinstance(target, dict) and isinstance(completion, dict):
        if not target and not completion:
            return 1
        known = part.get("properties") or {}
        return sum(_shared(value, completion[key], known.get(key)) for key, value in target.items() if key in completion)
    if isinstance(target, list) and isinstance(completion, list):
        return _aligned(target, completion, part.get("items")) if target or completion else 1
    if isinstance(target, dict | list) or isinstance(completion, dict | list):
        return 0
    return int(_same(target, completion, str(part.get("x-compare", "exact"))))


def _aligned(target: list[Any], completion: list[Any], schema: Any) -> int:
    """Values shared by the best pairing of the rows; a row that both hold is its own best partner, whatever the others do."""
    ours, theirs, shared = list(target), list(completion), 0
    if len(ours) * len(theirs) > PAIRS:
        places: dict[str, list[int]] = {}
        for place, row in enumerate(theirs):
            places.setdefault(repr(row), []).append(place)
        equal = {place: found.pop() for place, row in enumerate(ours) if (found := places.get(repr(row)))}
        shared = sum(_leaves(ours[place]) for place in equal)
        taken = set(equal.values())
        ours = [row for place, row in enumerate(ours) if place not in equal]
        theirs = [row for place, row in enumerate(theirs) if place not in taken]
        if len(ours) * len(theirs) > PAIRS:
            return shared + sum(_shared(a, b, schema) for a, b in zip(ours, theirs, strict=False))
    if not ours or not theirs:
        return shared
    from scipy.optimize import linear_sum_assignment  # half of the import time of all metrics

    gain = np.array([[_shared(a, b, schema) for b in theirs] for a in ours])
    return shared + int(gain[linear_sum_assignment(gain, maximize=True)].sum())


def _same(target: Any, completion: Any, comparator: str) -> bool:
    if comparator not in COMPARATORS:
        raise SpecError(f"task.schema: x-compare is {comparator!r}; wanted one of {', '.join(COMPARATORS)}")
    if comparator == "numeric":
        target, completion = _number(target), _number(completion)
    if comparator == "date":
        target, completion = _date(target), _date(completion)
    if isinstance(target, bool) or isinstance(completion, bool) or target is None or completion is None:
        return target is completion
    if isinstance(target, int | float) and isinstance(completion, int | float):
        return math.isclose(target, completion, rel_tol=1e-6) if max(abs(target), abs(completion)) < 1e300 else target == completion
    if isinstance(target, str) and isinstance(completion, str):
        target, completion = _plain(target), _plain(completion)
        if comparator == "fuzzy":
            return fuzz.ratio(target.casefold(), completion.casefold()) >= ALIKE
    return bool(target == completion)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def _number(value: Any) -> Any:
    """The number that a text holds, with commas between thousands; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        number = float(value.replace(",", "").strip("\u00a0 $€£%"))
    except ValueError:
        return value
    return number if math.isfinite(number) else value


def _date(value: Any) -> Any:
    """The day that a text names, in ISO or a form that has one meaning; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        return datetime.fromisoformat(value.strip()).date()
    except ValueError:
        pass
    for form in DATES:
        try:
            return datetime.strptime(value.strip(), form).date()  # noqa: DTZ007  # a day has no zone
        except ValueError:
            continue
    return value


def _observe(row: Row) -> tuple[float, ...] | None:
    wanted = [value for value, whole in map(parsed, row.right_texts) if whole]
    if not wanted:
        return None
    value, whole = parsed(row.completion)
    schema = parsed(row.schema)[0] if row.schema is not None else None
    try:
        return (max(field_f1(target, value, schema) for target in wanted) if whole else 0.0,)
    except RecursionError:  # nested about as deeply as can be read
        return (float(value in wanted),)


def _has_json(row: Row) -> bool:
    return any(whole for _, whole in map(parsed, row.right_texts))


def _signature(rows: Sequence[Row]) -> str:
    return "lists:aligned|compare:exact, or as x-compare of the schema says"


FIELD_F1 = Metric("field_f1", 1, "mean", _observe, weighted_mean, needs=frozenset({"json"}), applies=_has_json, signature=_signature)
