"""`audit --fix` from a file with planted faults to a new data set with a parent, and what `audit` says before and after."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from provetune.records.fixes import FixPlan
from provetune.workflow.project import ORIGIN, open_project
from tests.flows.conftest import call, ticket_rows, write_chat, write_csv

CLAIMS = ["relevant", "diverse", "accurate", "unbiased", "enough"]


def quiet(what: str, done: int, total: int) -> None:
    """No progress."""


def faulty_rows() -> list[tuple[str, str]]:
    """60 rows, two repeats of the first and one with characters that nobody sees."""
    rows = ticket_rows(60)
    return [*rows, (rows[0][0].upper(), rows[0][1]), (rows[0][0] + "!", rows[0][1]), ("in\u200bvoice again please since today", "billing")]


def project(folder: Path, data: Path, *lines: str) -> Path:
    columns = ["columns: {prompt: message, target: queue, id: ticket}"] if data.suffix == ".csv" else []
    block = "".join(f"  {line}\n" for line in [f"path: {data.name}", *columns, *lines])
    text = f"version: 1\nname: tickets\ndata:\n{block}task: classify\n"
    (folder / "provetune.yaml").write_text(text, encoding="utf-8")
    return folder


def documents(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.parametrize("form", ["csv", "chat"])
def test_from_a_preview_to_a_new_data_set(form: str, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "rows.csv", faulty_rows()) if form == "csv" else write_chat(tmp_path / "rows.jsonl", faulty_rows())
    folder, before = project(tmp_path, data), hashlib.sha256(data.read_bytes()).hexdigest()
    preview = call("-C", folder, "audit", "--fix")
    assert preview.code == 0, preview.err
    assert "invisible_characters: 1 row," in preview.out and "repeated_rows: 2 rows," in preview.out
    assert "61 of 63 rows remain" in preview.out and "Nothing was written" in preview.out
    assert not (folder / "rows.fixed.jsonl").exists()

    done = call("--format", "json", "-C", folder, "audit", "--fix", "--yes")
    plan = FixPlan.from_json(done.out)
    assert done.code == 0 and plan.written is not None
    assert (plan.rows_before, plan.rows_after, plan.written.count) == (63, 61, 61)
    assert plan.spec_lines == ("data.path: rows.fixed.jsonl",)
    assert hashlib.sha256(data.read_bytes()).hexdigest() == before
    assert sorted(path.name for path in folder.glob("*.fixed*")) == ["rows.fixed.jsonl", "rows.fixed.jsonl" + ORIGIN]

    old = open_project(folder, [], quiet)
    new = open_project(folder, ["data.path=rows.fixed.jsonl"], quiet)
    assert (new.dataset, new.dataset.parent) == (plan.written, old.dataset.fingerprint)
    assert [e.id for e in new.examples] == [e.id for e in old.examples if e.id not in plan.fixes[-1].example_ids]
    assert all("\u200b" not in e.prompt_text for e in new.examples)
    again = call("-C", folder, "audit", "--fix", "--yes", "--set", "data.path=rows.fixed.jsonl")
    assert "Nothing to mend" in again.out and len(list(folder.glob("*.fixed*"))) == 2

    # a file that somebody has changed since has no parent any more
    row = json.loads((folder / "rows.fixed.jsonl").read_text(encoding="utf-8").splitlines()[0])
    with (folder / "rows.fixed.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({**row, "ticket" if form == "csv" else "id": "new"}))
    assert open_project(folder, ["data.path=rows.fixed.jsonl"], quiet).dataset.parent is None


def test_a_second_file_gets_another_name_and_the_system_line_stays_the_projects(tmp_path: Path) -> None:
    folder = project(tmp_path, write_chat(tmp_path / "rows.jsonl", faulty_rows()))
    system = ("--set", "task={type: classify, system: Sort the ticket.}")
    first = call("--format", "json", "-C", folder, "audit", "--fix", "--yes", *system)
    second = call("--format", "json", "-C", folder, "audit", "--fix", "--yes", *system)
    names = [written.path for plan in (first, second) if (written := FixPlan.from_json(plan.out).written) is not None]
    assert names == ["rows.fixed.jsonl", "rows.fixed-2.jsonl"]
    rows = [json.loads(line) for line in (folder / names[0]).read_text(encoding="utf-8").splitlines()]
    assert all([message["role"] for message in row["messages"]] == ["user", "assistant"] for row in rows)


def test_copies_of_test_rows_go_and_the_test_file_is_left_alone(tmp_path: Path) -> None:
    rows = ticket_rows(60)
    test = write_chat(tmp_path / "test.jsonl", [*ticket_rows(30, seed=9), rows[7]])
    folder = project(tmp_path, write_chat(tmp_path / "rows.jsonl", rows), "test: test.jsonl")
    before = test.read_bytes()
    plan = FixPlan.from_json(call("--format", "json", "-C", folder, "audit", "--fix", "--yes").out)
    assert {fix.name: fix.example_ids for fix in plan.fixes}["test_copies"] == ("r8",)
    assert test.read_bytes() == before


def test_yes_alone_is_refused(tmp_path: Path) -> None:
    done = call("-C", tmp_path, "audit", "--yes")
    assert done.code == 2 and "--fix --yes" in done.err


def test_the_audit_shows_the_five_claims(tmp_path: Path) -> None:
    folder = project(tmp_path, write_chat(tmp_path / "rows.jsonl", ticket_rows(60)))
    done = call("-C", folder, "audit")
    assert done.code == 0, done.err
    places = [done.out.index(f"{name.capitalize()}: ") for name in CLAIMS]
    assert places == sorted(places)
    assert "Not every claim could be settled" in done.out
    report = documents(call("--format", "json", "-C", folder, "audit").out)
    assert [claim["name"] for claim in report["claims"]] == CLAIMS
    assert all(claim["outcome"] in ("pass", "fail", "inconclusive") and claim["reason"] for claim in report["claims"])


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "No such file"), ("{", "is no JSON Schema"), ('{"type": "nothing"}', "is no JSON Schema"), ("true", "holds no object")],
)
def test_a_schema_that_is_none_is_refused(content: str | None, message: str, tmp_path: Path) -> None:
    folder = project(tmp_path, write_chat(tmp_path / "rows.jsonl", ticket_rows(60)))
    if content is not None:
        (folder / "schema.json").write_text(content)
    done = call("-C", folder, "audit", "--set", "task={type: extract, schema: schema.json}")
    assert done.code == 2 and message in done.err and "task.schema" in done.err


def test_an_embedding_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    folder = project(tmp_path, write_chat(tmp_path / "rows.jsonl", ticket_rows(60)))
    done = call("-C", folder, "audit", "--set", "audit.embedding=nowhere")
    assert done.code == 2 and "nowhere: no static embedding model" in done.err
