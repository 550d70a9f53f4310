"""A gateway that follows the registry: promotions without a restart, and a canary that is given back once it is worse."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provetune.models.tokenizer import FolderTokenizer, model_ref
from provetune.records.candidate import GenerationSettings
from provetune.records.release import RoleOf
from provetune.registry import Registry
from provetune.serving import watching
from provetune.serving.fleet import Fleet
from provetune.serving.gateway import Gateway
from provetune.serving.source import Named, Source
from provetune.serving.watching import Watcher
from provetune.traffic import Salt, TrafficWriter
from tests.gateways import candidate_named, running
from tests.unit.releases_by_hand import ADA, draft_of


def release(project: Path, base: Path, tokens: int) -> int:
    """Register a prompt on the tiny model that writes so many tokens; its version."""
    ref = model_ref(base, str(base), "main", FolderTokenizer(base))
    settings = GenerationSettings(max_new_tokens=tokens)
    candidate = candidate_named(f"writes-{tokens}").model_copy(update={"model": ref, "generation": settings})
    draft, files = draft_of(project / "runs" / f"made-{tokens}", tokens)
    draft = draft.model_copy(update={"candidate": candidate, "generation": settings, "template": ref.template})
    return Registry(project).register(draft, files, ADA).version


def until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.filterwarnings("ignore:tickets-v1 .canary. is halted:provetune.errors.Notice")
def test_the_gateway_follows_the_registry(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LOOK_S", 0.1)
    registry = Registry(tmp_path)
    assert [release(tmp_path, tiny_folder, tokens) for tokens in (5, 9)] == [1, 2]
    registry.promote(1, ADA)
    source = Source(Named(tmp_path))
    log = TrafficWriter(tmp_path / "traffic.sqlite")
    gateway = Gateway(Fleet("tickets", source.lineup(), "salt"), log=log, salt=Salt(tmp_path / "salt"))
    with running(gateway, watch=Watcher(source, gateway).look) as found, found.http() as client:

        def ask(text: str) -> Any:
            body = {"model": "tickets", "messages": [{"role": "user", "content": text}]}
            return client.post("/v1/chat/completions", json=body).json()

        assert (source.name, ask("x")["model"], ask("x")["usage"]["completion_tokens"]) == ("tickets", "tickets-v1", 5)
        registry.promote(2, ADA)
        until(lambda: ask("x")["model"] == "tickets-v2")
        right = {k: ask(f"text {k}")["choices"][0]["message"]["content"] for k in range(25)}
        registry.assign("canary", RoleOf(version=1, share=1.0), ADA)
        until(lambda: ask("x")["model"] == "tickets-v1")
        for k, text in right.items():
            client.post("/v1/feedback", json={"id": ask(f"text {k}")["id"], "correction": text})
            if "canary" in gateway.fleet.halted:
                break
        until(lambda: ask("x")["model"] == "tickets-v2")
        until(lambda: "canary" not in registry.standing().roles)
        assert registry.standing().champion == 2 and registry.listing().log[-1].who == "provetune serve"
        assert "halts_total" in client.get("/metrics").text
