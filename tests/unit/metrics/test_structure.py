"""Strict JSON, schemas with formats, and F1 over fields."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

import pytest

from provetune.errors import SpecError
from provetune.metrics import METRICS
from provetune.metrics.base import Row
from provetune.metrics.fields import _leaves, _shared, field_f1
from provetune.metrics.structure import NotJson, strict_json
from tests.unit.metrics.rows import one, value

BAD = ["NaN", "[Infinity]", "-Infinity", "1e400", '{"a": 1, "a": 2}', '"\\ud800"', "[" * 100_000, "{} x", "", "{'a': 1}", '{"a": 1,}']


@pytest.mark.parametrize("text", BAD, ids=lambda text: text[:12] or "nothing")
def test_what_the_standard_library_lets_pass_is_no_json(text: str) -> None:
    with pytest.raises(NotJson):
        strict_json(text)
    assert one("json_valid", "{}", text) == 0.0


@pytest.mark.parametrize("text", ["1", '"x"', " [1, 2.5e3] \n", '{"a": null, "b": {"a": 1}}', '"\\ud83d\\ude42"', "12345678901234567890"])
def test_json_of_every_kind_passes(text: str) -> None:
    assert strict_json(text) == json.loads(text) and one("json_valid", "{}", text) == 1.0


def test_json_is_checked_without_any_model() -> None:
    # no generator, no network, nothing but the text: a completion is all that the metric receives
    assert METRICS["json_valid"].needs == frozenset() and METRICS["schema_valid"].needs == {"schema"}


def schema_valid(schema: dict[str, Any], completion: str) -> float:
    return value("schema_valid", [Row("{}", completion, schema=json.dumps(schema))])


@pytest.mark.parametrize(
    ("part", "good", "bad"),
    [
        ({"type": "integer"}, "1.0", "true"),
        ({"type": "integer"}, "3", "1.5"),
        ({"format": "date"}, '"2024-02-29"', '"2023-02-29"'),
        ({"format": "date-time"}, '"2024-02-29T10:00:00Z"', '"2024-02-29 10:00"'),
        ({"format": "email"}, '"a@b.ch"', '"a"'),
        ({"format": "uri"}, '"https://a.ch/x"', '"a b"'),
        ({"format": "ipv4"}, '"10.0.0.1"', '"10.0.0.256"'),
        ({"enum": ["a", "b"]}, '"a"', '"c"'),
    ],
)
def test_schemas_assert_formats_too(part: dict[str, Any], good: str, bad: str) -> None:
    assert schema_valid(part, good) == 1.0 and schema_valid(part, bad) == 0.0
    assert schema_valid(part, "no json") == 0.0


def test_the_draft_is_the_one_that_the_schema_names() -> None:
    # a list in `items` belongs to draft 7: draft 2020-12 calls it prefixItems
    old = {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]}
    assert schema_valid(old, "[1]") == 0.0
    row = Row("{}", "[1]", schema=json.dumps(old))
    assert METRICS["schema_valid"].signature([row]).startswith("draft:7|format:asserted|jsonschema:")
    assert "draft:2020-12" in METRICS["schema_valid"].signature([Row("{}", "", schema="{}")])


@pytest.mark.parametrize("schema", ['{"type": 3}', "[", '{"$ref": "https://elsewhere.example/x"}'])
def test_a_schema_that_is_none_is_the_users_error(schema: str) -> None:
    with pytest.raises(SpecError, match=r"task\.schema"):
        METRICS["schema_valid"].observe(Row("{}", "{}", schema=schema))


def test_swapped_counts_between_two_rows_of_a_list_are_wrong() -> None:
    right = [{"name": "pen", "count": 2}, {"name": "cup", "count": 1}]
    swapped = [{"name": "pen", "count": 1}, {"name": "cup", "count": 2}]
    assert field_f1(right, swapped) == 0.5 and field_f1(right, right[::-1]) == 1.0


def test_fields_that_are_missing_or_too_many() -> None:
    right = {"name": "Anna", "items": [{"k": 1}, {"k": 2}], "note": None}
    assert field_f1(right, {"name": "Anna"}) == pytest.approx(2 * 1 / (4 + 1))
    assert field_f1(right, right | {"more": 1}) == pytest.approx(2 * 4 / (4 + 5))
    assert field_f1(right, right | {"note": ""}) == pytest.approx(2 * 3 / 8)
    assert field_f1({}, {}) == field_f1([], []) == 1.0 and field_f1({}, {"a": 1}) == 0.0
    assert field_f1({"a": {"b": 1}}, {"a": [1]}) == 0.0


@pytest.mark.parametrize("seed", range(20))
def test_the_pairing_of_rows_is_the_best_of_all(seed: int) -> None:
    draw = random.Random(seed)
    ours, theirs = ([{k: draw.randint(0, 2) for k in "abc"} for _ in range(draw.randint(1, 5))] for _ in range(2))
    short, long = sorted((ours, theirs), key=len)
    best = max(sum(_shared(a, b, None) for a, b in zip(short, chosen, strict=True)) for chosen in itertools.permutations(long, len(short)))
    assert field_f1(ours, theirs) == pytest.approx(2 * best / (_leaves(ours) + _leaves(theirs)))


def test_long_lists_in_another_order_are_still_the_same() -> None:
    rows = [{"id": k, "name": f"n{k}"} for k in range(3_000)]
    assert field_f1(rows, rows[::-1]) == 1.0
    assert field_f1(rows, rows[1:] + [{"id": 0, "name": "other"}]) == pytest.approx(1 - 1 / 6000)


@pytest.mark.parametrize(
    ("comparator", "target", "completion", "same"),
    [
        ("exact", 1, 1.0, True),
        ("exact", 1, True, False),
        ("exact", 0, False, False),
        ("exact", "a  b", "a b", True),
        ("exact", "café", "cafe\u0301", True),
        ("exact", "1", 1, False),
        ("exact", 100, 100.5, False),
        ("numeric", "1,200.50 €", 1200.5, True),
        ("numeric", "12", 13, False),
        ("numeric", "n/a", "n/a", True),
        ("date", "2024-05-03", "3 May 2024", True),
        ("date", "2024-05-03", "03.05.2024", True),
        ("date", "2024-05-03", "2024-03-05", False),
        ("fuzzy", "Acme Trading Ltd", "ACME Trading Ltd.", True),
        ("fuzzy", "Acme", "Zenith", False),
    ],
)
def test_comparators_come_from_the_schema(comparator: str, target: Any, completion: Any, same: bool) -> None:
    schema = {"properties": {"x": {"type": "array", "items": {"x-compare": comparator}}}}
    assert field_f1({"x": [target]}, {"x": [completion]}, schema) == float(same)
    row = Row(json.dumps({"x": [target]}), json.dumps({"x": [completion]}), schema=json.dumps(schema))
    assert value("field_f1", [row]) == float(same)


def test_an_unknown_comparator_is_named() -> None:
    with pytest.raises(SpecError, match="x-compare is 'loose'; wanted one of exact, numeric, date, fuzzy"):
        field_f1("a", "b", {"x-compare": "loose"})


def test_a_target_that_is_no_json_is_not_measured_and_a_completion_scores_0() -> None:
    assert METRICS["field_f1"].observe(Row("no json", "{}")) is None
    assert one("field_f1", '{"a": 1}', "no json") == one("field_f1", '{"a": 1}', "") == 0.0


CALL = '{"name": "weather", "arguments": {"city": "Bern", "days": 2}}'


@pytest.mark.parametrize(
    ("target", "completion", "right"),
    [
        (CALL, '{"arguments": {"days": 2.0, "city": "Bern"}, "name": "weather"}', True),
        (CALL, f"I will look.\n{CALL}", True),
        (CALL, CALL.replace("Bern", "Basel"), False),
        (CALL, f"{CALL}\n{CALL}", False),
        (CALL, "It rains.", False),
        (CALL, "", False),
        ("It rains.", "It snows.", True),
        ("It rains.", CALL, False),
        ("It rains.", "", False),
        (f"{CALL}\n" + CALL.replace("Bern", "Basel"), CALL.replace("Bern", "Basel") + f"\n{CALL}", True),
    ],
)
def test_calls_of_tools(target: str, completion: str, right: bool) -> None:
    assert one("tool_calls", target, completion) == float(right)
