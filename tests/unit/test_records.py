"""Records: frozen, closed, versioned, the same after a trip to disk."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from provetune.errors import EvidenceError
from provetune.records.base import Migration, Record
from provetune.records.candidate import Candidate, GenerationSettings, Prompt
from provetune.records.data import AuditReport, Dataset, Example, Finding, Message
from tests.unit.records_by_hand import candidate_of, examples_of, measured

DATA = Dataset(path="tickets.csv", rows_sha256="ab" * 32, count=3)


def _renamed(content: dict[str, Any]) -> dict[str, Any]:
    return {"rows": content["count"], **{key: value for key, value in content.items() if key != "count"}}


class Counted(Record):
    """A record in its third version: `count` became `rows`, then `unit` came."""

    SCHEMA: ClassVar[str] = "counted/3"
    MIGRATIONS: ClassVar[dict[int, Migration]] = {1: _renamed, 2: lambda content: {**content, "unit": "rows"}}
    rows: int
    unit: str


def test_a_record_comes_back_from_disk() -> None:
    evaluation, _ = measured("tuned", ["refund", None], examples_of(["refund", "billing"]))
    for record in (DATA, candidate_of("tuned"), evaluation):
        again = type(record).from_json(record.to_json())
        assert again == record and again.fingerprint == record.fingerprint


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives(text: str) -> None:
    record = DATA.model_copy(update={"name": text})
    assert Dataset.from_json(record.to_json()) == record


def test_the_schema_stands_first() -> None:
    assert next(iter(json.loads(DATA.to_json()))) == "schema"
    assert json.loads(DATA.to_json())["schema"] == "provetune.dataset/1"


def test_the_fingerprint_follows_content_and_kind() -> None:
    assert DATA.fingerprint != DATA.model_copy(update={"count": 4}).fingerprint
    assert DATA.fingerprint == Dataset(**DATA.model_dump()).fingerprint


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        DATA.count = 4  # type: ignore[misc]


@pytest.mark.parametrize("change", [{"colour": "red"}, {"count": "three"}])
def test_unknown_keys_and_wrong_types_are_refused(change: dict[str, object]) -> None:
    text = json.dumps({**json.loads(DATA.to_json()), **change})
    with pytest.raises(ValidationError):
        Dataset.from_json(text)


@pytest.mark.parametrize("schema", ["provetune.split/1", "provetune.dataset/2", "provetune.dataset/x", "dataset", "", None])
def test_another_schema_is_refused(schema: str | None) -> None:
    with pytest.raises(EvidenceError, match=r"wanted provetune\.dataset/1"):
        Dataset.from_json(json.dumps({**json.loads(DATA.to_json()), "schema": schema}))


@pytest.mark.parametrize("text", ["[]", "null", '"dataset"', "3"])
def test_something_other_than_a_record_is_refused(text: str) -> None:
    with pytest.raises(EvidenceError, match=r"wanted a provetune\.dataset/1 record"):
        Dataset.from_json(text)


@pytest.mark.parametrize(
    "old",
    [
        {"schema": "provetune.counted/1", "count": 3},
        {"schema": "provetune.counted/2", "rows": 3},
        {"schema": "provetune.counted/3", "rows": 3, "unit": "rows"},
    ],
)
def test_older_versions_are_brought_up_step_by_step(old: dict[str, Any]) -> None:
    assert Counted.from_json(json.dumps(old)) == Counted(rows=3, unit="rows")


def test_what_an_example_derives() -> None:
    turns = [("system", "Be brief."), ("user", "One"), ("assistant", "Two"), ("user", "Three"), ("assistant", "Four")]
    example = Example(id="r1", messages=tuple(Message.model_validate({"role": r, "content": c}) for r, c in turns))
    assert example.target == "Four" and example.prompt_messages == example.messages[:-1]
    assert example.prompt_text == "One\nTwo\nThree"


@pytest.mark.parametrize("change", [{"role": "robot"}, {"weight": 2}, {"content": None}])
def test_a_message_outside_the_format_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Message.model_validate({"role": "user", "content": "Hello", **change})


def test_blockers_are_the_findings_that_stop() -> None:
    findings = tuple(
        Finding.model_validate({"check": s, "severity": s, "message": "m", "count": 1}) for s in ("info", "warning", "blocker")
    )
    report = AuditReport(dataset="d", count=1, task="chat", label_counts={}, findings=findings, tokens=None, groups={})
    assert report.blockers == findings[2:]


@pytest.mark.parametrize("setting", [{"json_schema": "{}"}, {"temperature": 0.5}, {"top_p": 0.9}, {"seed": 1}])
def test_a_generation_setting_counts_only_where_it_asks_for_something(setting: dict[str, Any]) -> None:
    """What was fingerprinted before a setting existed keeps its fingerprint: the number is of that time."""
    plain = Candidate(name="a", kind="prompt", prompt=Prompt(strategy="plain"), generation=GenerationSettings(choices=("x", "y")))
    assert plain.fingerprint == "8a8d1eeed6b66277"
    changed = plain.model_copy(update={"generation": GenerationSettings(choices=("x", "y")).model_copy(update=setting)})
    assert changed.fingerprint != plain.fingerprint
    assert Candidate.from_json(plain.to_json()) == plain


@pytest.mark.parametrize("setting", [{"temperature": -1}, {"temperature": float("inf")}, {"top_p": 0}, {"top_p": 1.5}, {"seed": -1}])
def test_generation_settings_without_a_meaning_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GenerationSettings(**setting)
    with pytest.raises(ValidationError, match="one of them"):
        GenerationSettings(choices=("x",), json_schema="{}")
