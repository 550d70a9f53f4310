"""Whole runs against worthy opponents: prompts that already do the task, prompts that do not, and a model behind an endpoint."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from provetune.records.evaluation import Evidence
from tests.fake_endpoint import KEY, MODEL, FakeEndpoint
from tests.flows.conftest import call, write_project

HINTS = {"billing": ("invoice", "refund", "charged"), "delivery": ("parcel", "courier", "late"), "access": ("login", "password", "locked")}
INSTRUCTION = "Classify the message. Reply with exactly one of these labels and nothing else: access, billing, delivery"
"""What the zero-shot prompt says for these labels."""


def task_rows(count: int, seed: int) -> list[tuple[str, str]]:
    """(message, label): one telling word among invented ones, so that no two messages are alike."""
    draw = random.Random(seed)

    def word() -> str:
        return "".join(draw.choice("bdfgklmnprst") + draw.choice("aeiou") for _ in range(3))

    rows = []
    for number in range(count):
        label = list(HINTS)[number % 3]
        words = [word() for _ in range(6)]
        words.insert(draw.randrange(7), draw.choice(HINTS[label]))
        rows.append((" ".join(words), label))
    return rows


def project(folder: Path, base: str, system: str | None) -> Path:
    folder.mkdir()
    for name, rows in (("train.csv", task_rows(450, 1)), ("test.csv", task_rows(1020, 2))):
        (folder / name).write_text("message,queue\n" + "".join(f"{text},{label}\n" for text, label in rows), encoding="utf-8")
    spec: dict[str, Any] = {
        "version": 1,
        "name": folder.name,
        "data": {"path": "train.csv", "test": "test.csv", "columns": {"prompt": "message", "target": "queue"}},
        "base": base,
        "task": {"type": "classify", **({} if system is None else {"system": system})},
        "train": {"method": "full", "epochs": 6},
        "prove": {"against": ["zero-shot"], "margin": 0.02, "retention": []},
    }
    (folder / "provetune.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    return folder


def evidence_of(folder: Path) -> Evidence:
    return Evidence.from_json((folder / "runs" / "latest" / "evidence.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_a_hard_task_ships_and_one_that_prompting_already_does_is_held(tmp_path: Path) -> None:
    hard = project(tmp_path / "hard", "starter", INSTRUCTION)
    assert call("-C", hard, "run").code == 0
    shipped = evidence_of(hard)
    scores = {e.candidate.name: e.summary["accuracy"].value or 0.0 for e in shipped.evaluations if e.part == "test"}
    assert shipped.decision.outcome == "ship" and scores[shipped.champion] > 0.95 and scores["zero-shot"] < 0.5

    easy = project(tmp_path / "easy", str(hard / "runs" / "latest" / "model"), None)
    assert call("-C", easy, "run").code == 3
    held = evidence_of(easy)
    assert held.decision.outcome == "hold"
    assert "better than zero-shot by more than 0.02: shown to be untrue" in held.decision.sentence


@pytest.fixture
def with_endpoint(tmp_path: Path, base_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, dict[str, Any]], Path]:
    monkeypatch.setenv("SOME_KEY", KEY)

    def make(url: str, endpoint: dict[str, Any]) -> Path:
        folder = write_project(tmp_path / "project", base_folder, rows=120)
        spec = yaml.safe_load((folder / "provetune.yaml").read_text(encoding="utf-8"))
        given = {"url": url, "key_from": "SOME_KEY", "usd_per_million_prompt_tokens": 1000, "usd_per_million_completion_tokens": 1000}
        spec["baselines"] = ["zero-shot", {"name": "big", "model": MODEL, "endpoint": {**given, **endpoint}}]
        spec["prove"] = {**spec.get("prove", {}), "against": ["zero-shot", "big"], "retention": []}
        (folder / "provetune.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
        return folder

    return make


def answers(text: str) -> str:
    hints = {"billing": ("invoice", "refund"), "delivery": ("parcel", "courier"), "access": ("login", "password")}
    return next(label for label, words in hints.items() if any(word in text.split() for word in words))


def test_a_run_against_an_endpoint(with_endpoint: Callable[[str, dict[str, Any]], Path]) -> None:
    with FakeEndpoint(answer=answers).running() as server:
        folder = with_endpoint(server.url, {})
        done = call("-C", folder, "run")
        assert done.code == 3, done.err  # the endpoint is always right
        asked = server.asked.total()
        evidence = evidence_of(folder)
        found = {(e.candidate.name, e.part): e for e in evidence.evaluations}
        assert found["big", "test"].summary["accuracy"].value == 1.0 and found["big", "test"].candidate.kind == "endpoint"
        assert "endpoint-use-big" in evidence.records
        report = (folder / "runs" / "latest" / "report.html").read_text(encoding="utf-8")
        assert "What asking the endpoints took" in report and KEY not in report and KEY not in evidence.to_json()
        assert call("-C", folder, "run").code == 3 and server.asked.total() == asked  # nothing is asked twice


def test_what_the_cap_leaves_unasked_is_not_measured_and_settles_nothing(
    with_endpoint: Callable[[str, dict[str, Any]], Path],
) -> None:
    with FakeEndpoint(answer=answers).running() as server:
        folder = with_endpoint(server.url, {"max_usd": 0.3})
        assert call("-C", folder, "run").code == 4
        verdicts = {v.rule.baseline: v for v in evidence_of(folder).decision.verdicts}
        assert "were not measured" in verdicts["big"].reason
        assert server.answered.total() * 0.025 <= 0.3 + 0.025


def test_baseline_trains_nothing_and_opens_nothing(with_endpoint: Callable[[str, dict[str, Any]], Path]) -> None:
    with FakeEndpoint(answer=answers).running() as server:
        folder = with_endpoint(server.url, {})
        done = call("-C", folder, "baseline", "--format", "json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert [result["name"] for result in report["results"]][0] in ("big", "linear")
    assert report["worth_trying"] == "no" and not (folder / "ledger.jsonl").exists()
    assert not list((folder / "runs" / "latest").glob("weights*")) and not list((folder / "runs" / "latest").glob("checkpoints/*"))
