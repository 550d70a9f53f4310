"""What the request log is turned into: rows to train on, rows to label, the paired verdict of two models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provetune.errors import DataError
from provetune.records.data import Message
from provetune.records.traffic import Feedback, TrafficRecord
from provetune.traffic import TRAFFIC_FILE, moment, write
from provetune.workflow.traffic import compare_routes, erase, export_rows


def line(name: str, route: Any, completion: str, **more: Any) -> TrafficRecord:
    fields: dict[str, Any] = {"model": route, "release": "", "candidate": route, "template": "", "latency_s": 0.1, "finish": "stop"}
    fields |= {"prompt": (Message(role="user", content=f"ask {name}"),), "prompt_tokens": 1, "completion_tokens": 1, "first_token_s": None}
    return TrafficRecord(request_id=name, at=moment(), route=route, completion=completion, **{**fields, **more})


def said(name: str, **what: Any) -> Feedback:
    return Feedback(request_id=name, at=moment(), **what)


def rows_of(file: Path) -> dict[str, Any]:
    return {row["id"]: row for row in map(json.loads, file.read_text().splitlines())}


def test_judged_answers_become_rows(tmp_path: Path) -> None:
    lines = [
        line("a", "champion", "billing", user="u1"),
        line("b", "canary", "access"),
        line("c", "champion", "x"),
        line("s", "shadow", "y"),
    ]
    lines += [line("t", "champion", "late", prompt=None), line("e", "champion", "", finish="error")]
    feedback = [
        said("a", thumb="up"),
        said("b", correction="delivery", thumb="down"),
        said("c", thumb="down"),
        said("c", outcome="resolved"),
    ]
    write(tmp_path / TRAFFIC_FILE, [*lines, *feedback])
    done = export_rows(tmp_path, tmp_path / "next.jsonl", unlabelled=False)
    assert (done.rows, done.left_out) == (2, {"text not kept": 1, "not answered": 1, "without a label": 1})
    rows = rows_of(tmp_path / "next.jsonl")
    assert rows["a"]["messages"][-1] == {"role": "assistant", "content": "billing"} and rows["a"]["group"] == "u1"
    assert rows["b"]["messages"] == [{"role": "user", "content": "ask b"}, {"role": "assistant", "content": "delivery"}]
    assert export_rows(tmp_path, tmp_path / "unseen.jsonl", unlabelled=True).rows == 1
    assert [turn["role"] for turn in rows_of(tmp_path / "unseen.jsonl")["c"]["messages"]] == ["user"]


def test_two_models_are_compared_as_in_the_proof(tmp_path: Path) -> None:
    lines: list[Any] = []
    for k in range(60):
        right = "billing" if k % 2 else "access"
        wrong = right if k % 6 == 0 else "other"
        lines += [line(f"r{k}", "challenger", right), line(f"s{k}", "shadow", wrong, answers=f"r{k}"), said(f"r{k}", correction=right)]
    write(tmp_path / TRAFFIC_FILE, lines)
    found = compare_routes(tmp_path, "challenger", "exact_match")
    assert (found.compared, found.comparison.wins, found.comparison.losses) == (60, 50, 0)
    assert found.verdict.outcome == "pass" and found.comparison.difference.value == pytest.approx(50 / 60)
    with pytest.raises(DataError, match="feedback"):
        compare_routes(tmp_path, "canary", "exact_match")
    assert erase(tmp_path, "nobody") == 0
