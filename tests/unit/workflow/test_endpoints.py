"""A model behind an endpoint as an opponent: its candidates, its evaluation, what is not measured, and what it took."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provetune.chat import prompt_messages
from provetune.errors import Notice
from provetune.evaluation import compare
from provetune.gate import Measured, decide
from provetune.models import endpoint_asking
from provetune.records.candidate import Candidate, GenerationSettings, Prompt
from provetune.records.data import Example
from provetune.records.evaluation import GateRule
from provetune.spec.model import BaselineSpec
from provetune.workflow import steps
from provetune.workflow.endpoints import endpoint_candidates, endpoint_use
from provetune.workflow.project import Project, begin_run, open_project
from tests.fake_endpoint import KEY, MODEL, FakeEndpoint
from tests.flows.conftest import write_project

PRICES = {"usd_per_million_prompt_tokens": 1_000.0, "usd_per_million_completion_tokens": 10_000.0}
SETTINGS = GenerationSettings(max_new_tokens=8, choices=("access", "billing", "delivery"), scored=True)
ZERO_SHOT = Candidate(name="zero-shot", kind="prompt", prompt=Prompt(strategy="zero-shot", system="Name it."), generation=SETTINGS)
PROMPTS = {"zero-shot": [ZERO_SHOT], "big": [ZERO_SHOT], "small": [ZERO_SHOT]}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEndpoint]:
    monkeypatch.setenv("SOME_KEY", KEY)
    monkeypatch.setattr(endpoint_asking, "BACKOFF_S", 0.005)
    with FakeEndpoint(usage=lambda text: (40, 4)).running() as fake:
        yield fake


def project_with(folder: Path, base: Path, server: FakeEndpoint, **settings: Any) -> Project:
    path = folder / "project"
    project = open_project(path if path.exists() else write_project(path, base, rows=60), (), lambda *_: None)
    begin_run(project)
    given = {"name": "big", "model": MODEL, "endpoint": {"url": server.url, "key_from": "SOME_KEY", **settings}}
    baselines = [BaselineSpec(name="zero-shot"), BaselineSpec.model_validate(given)]
    return replace(project, spec=project.spec.model_copy(update={"baselines": baselines}))


def labelled(examples: list[Example]) -> FakeEndpoint:
    labels = {e.prompt_text: e.label for e in examples}
    return FakeEndpoint(answer=lambda text: str(labels[text]))


def test_an_opponent_behind_an_endpoint_is_measured_like_any_other(tmp_path: Path, tiny_folder: Path, server: FakeEndpoint) -> None:
    project = project_with(tmp_path, tiny_folder, server, **PRICES)
    rows = list(project.examples)
    server.answer = labelled(rows).answer
    server.fault = lambda text, number: "500" if text == rows[1].prompt_text and number == 0 else None
    [([candidate], generator)] = endpoint_candidates(project, PROMPTS)
    assert (candidate.name, candidate.kind, candidate.prompt) == ("big", "endpoint", PROMPTS["zero-shot"][0].prompt)
    assert candidate.generation.decoding == "constrained"  # an endpoint cannot score
    found = steps.evaluate(project, candidate, generator, rows, "validation")
    assert found.summary["accuracy"].value == 1.0 and found.not_measured == 0
    assert (found.prompt_tokens, found.completion_tokens) == (40 * 60, 4 * 60)

    use = endpoint_use(project, generator, found, rows)
    assert (use.rows, use.requests, use.faults, use.not_measured) == (60, 61, {"500": 1}, 0)
    assert (use.prompt_tokens, use.completion_tokens, use.lacks) == (40 * 60, 4 * 60, ())
    # 40 tokens at 1,000 $ and 4 at 10,000 $ per million are 0.08 $; a failed request is free
    assert use.usd == pytest.approx(60 * 0.08) and use.usd_per_1k is not None and use.usd_per_1k.value == pytest.approx(80.0)
    p50, p95 = use.latency_p50_s, use.latency_p95_s
    assert p50.n == 60 and p50.value is not None and p95.value is not None and 0 < p50.value <= p95.value < 30
    assert endpoint_use(project, generator, found, rows) == use
    assert type(use).from_json(use.to_json()) == use
    assert len({prompt_messages(candidate.prompt, e) for e in rows}) == 60 == server.answered.total()


def test_another_model_or_address_is_another_candidate(tmp_path: Path, tiny_folder: Path, server: FakeEndpoint) -> None:
    project = project_with(tmp_path, tiny_folder, server)
    first = project.spec.baselines[1]
    others = [first, first.model_copy(update={"called": "small", "model": "a-small-model"})]
    both = replace(project, spec=project.spec.model_copy(update={"baselines": others}))
    found = [candidate for (candidate,), _ in endpoint_candidates(both, PROMPTS)]
    assert [c.name for c in found] == ["big", "small"] and found[0].weights_sha256 != found[1].weights_sha256


def test_without_prices_and_tokens_they_are_unknown(tmp_path: Path, tiny_folder: Path, server: FakeEndpoint) -> None:
    project = project_with(tmp_path, tiny_folder, server)
    server.always("no usage")
    rows = list(project.examples)[:3]
    [([candidate], generator)] = endpoint_candidates(project, PROMPTS)
    use = endpoint_use(project, generator, steps.evaluate(project, candidate, generator, rows, "validation"), rows)
    assert (use.prompt_tokens, use.completion_tokens, use.usd, use.usd_per_1k) == (None, None, None, None)


def test_a_cap_leaves_rows_unmeasured_and_the_gate_says_how_many(tmp_path: Path, tiny_folder: Path, server: FakeEndpoint) -> None:
    project = project_with(tmp_path, tiny_folder, server, max_usd=3.0, **PRICES)
    rows = list(project.examples)
    [([candidate], generator)] = endpoint_candidates(project, PROMPTS)
    with pytest.warns(Notice, match="spending cap"):
        opponent = steps.evaluate(project, candidate, generator, rows, "validation")
    assert 20 < opponent.not_measured < 60 and server.answered.total() * 0.08 <= 3.0
    tuned = opponent.model_copy(
        update={
            "candidate": candidate.model_copy(update={"name": "tuned"}),
            "observations": {"accuracy": ((1.0,),) * 60},
            "not_measured": 0,
        }
    )
    rule = GateRule(name="better than big", kind="beats_baseline", metric="accuracy", baseline="big", margin=0.02)
    decision = decide([rule], Measured(tuned, [opponent], [compare(tuned, opponent, "accuracy", 0.95)], (), 1, 0.95))
    assert decision.outcome == "inconclusive"
    assert decision.verdicts[0].reason == f"{opponent.not_measured} of 60 rows were not measured"
