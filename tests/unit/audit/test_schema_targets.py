"""JSON targets: broken ones, ones against the schema, ones unlike all others."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from provetune.audit import AuditInput
from provetune.spec import TaskSpec
from tests.unit.audit.rows import example, found, inputs, only

SCHEMA = {
    "type": "object",
    "properties": {"intent": {"enum": ["play", "stop"]}, "slots": {"type": "array", "items": {"type": "string"}}},
    "required": ["intent"],
    "additionalProperties": False,
}


def extraction(odd: list[str], schema: dict[str, Any] | None = None, rows: int = 100) -> AuditInput:
    targets = [*odd, *(json.dumps({"intent": "play", "slots": [f"song {n}"]}) for n in range(rows - len(odd)))]
    made = [example(n, f"prompt {n}", target) for n, target in enumerate(targets)]
    return replace(inputs(made), task=TaskSpec(type="extract"), json_schema=schema)


@pytest.mark.parametrize("target", ["play", '{"intent": "play"', '{"intent": NaN}', "[" * 100_000, ""])
def test_a_target_that_is_no_json(target: str) -> None:
    finding = only(found("schema_targets", extraction([target])))
    assert (finding.severity, finding.count, finding.example_ids) == ("warning", 1, ("r0",))
    assert "cannot be read as JSON" in finding.message


@pytest.mark.parametrize(
    ("target", "fault"),
    [
        ({"intent": "pause"}, "intent breaks 'enum'"),
        ({"slots": []}, "the whole breaks 'required'"),
        ({"intent": "play", "slots": [1]}, "slots/0 breaks 'type'"),
        ({"intent": "play", "who": 1}, "the whole breaks 'additionalProperties'"),
    ],
)
def test_a_target_against_the_schema(target: dict[str, Any], fault: str) -> None:
    finding = only(found("schema_targets", extraction([json.dumps(target)], SCHEMA)))
    assert (finding.severity, finding.count) == ("warning", 1)
    assert fault in finding.message
    assert only(found("schema_targets", extraction([json.dumps(target)] * 20, SCHEMA))).severity == "blocker"


@pytest.mark.parametrize(
    ("target", "fault"),
    [
        ({"slots": []}, "'intent' is missing"),
        ({"intent": 3, "slots": []}, "'intent' is a number, elsewhere text"),
        ([1], "a list instead of"),
    ],
)
def test_a_target_unlike_all_others(target: object, fault: str) -> None:
    finding = only(found("schema_targets", extraction([json.dumps(target)])))
    assert (finding.severity, finding.count, finding.example_ids) == ("warning", 1, ("r0",))
    assert fault in finding.message


def test_silent_on_good_targets_null_values_and_rare_keys() -> None:
    assert found("schema_targets", extraction([], SCHEMA)) == []
    assert found("schema_targets", extraction(['{"intent": null, "slots": []}', '{"intent": "stop", "slots": [], "note": 1}'])) == []
    labels = extraction(["play"])
    assert found("schema_targets", replace(labels, task=TaskSpec(type="classify"))) == []


def test_a_reference_to_elsewhere_is_told_and_never_fetched() -> None:
    schema = {"type": "object", "properties": {"intent": {"$ref": "http://localhost:1/schema.json"}}}
    assert "refers to" in only(found("schema_targets", extraction([], schema))).message
