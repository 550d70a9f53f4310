"""Swaps without a dropped request, sticky shares, shadows, a canary that is halted, limits, draining."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from provetune.hashing import seed_of
from provetune.records.keys import Limits
from provetune.records.traffic import Feedback, TrafficRecord
from provetune.serving.backend import Job, Part, Usage
from provetune.serving.fleet import Fleet, Lineup, Served, place_of
from provetune.serving.gateway import Gateway, GatewaySettings
from provetune.serving.halting import trial
from provetune.serving.keys import KeyFile
from provetune.serving.limits import Admission
from provetune.serving.problems import Problem
from provetune.serving.requests import ChatAsked
from provetune.traffic import Salt, TrafficReader, TrafficWriter, moment
from tests.gateways import NAME, candidate_named, running

CHAT = "/v1/chat/completions"


class Echo:
    """A back end that answers with its own name and what it was asked, after a moment."""

    def __init__(self, name: str, delay_s: float = 0.0) -> None:
        self.name, self.delay_s, self.closed, self.answered = name, delay_s, False, 0

    async def answer(self, job: Job) -> Any:
        assert isinstance(job.asked, ChatAsked)
        assert not self.closed
        await asyncio.sleep(self.delay_s)
        yield Part(0, f"{self.name}: ")
        await asyncio.sleep(self.delay_s)
        assert not self.closed
        yield Part(0, job.asked.turns[-1].content, end="stop")
        yield Usage(3, 2)
        self.answered += 1

    async def healthy(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True

    def gauges(self) -> dict[str, float]:
        return {}


def echo(name: str, delay_s: float = 0.0) -> Served:
    return Served(name, name, candidate_named(name), "t", Echo(name, delay_s))


def body(text: str, **more: Any) -> dict[str, Any]:
    return {"model": NAME, "messages": [{"role": "user", "content": text}], **more}


async def _storm(url: str, count: int, at_once: int, swap: Any) -> Counter[str]:
    """`count` requests; each must answer its own text. Which releases answered."""
    seen: Counter[str] = Counter()
    left = iter(range(count))

    async def client(http: httpx2.AsyncClient) -> None:
        for number in left:
            reply = await http.post(CHAT, json=body(f"text {number}"))
            assert reply.status_code == 200, reply.text
            name, _, text = reply.json()["choices"][0]["message"]["content"].partition(": ")
            assert text == f"text {number}" and reply.json()["model"] == name
            seen[name] += 1
            if number % (count // 10) == count // 20:
                swap(number)

    async with httpx2.AsyncClient(base_url=url, timeout=60) as http:
        await asyncio.gather(*(client(http) for _ in range(at_once)))
    return seen


@pytest.mark.parametrize("count", [400, pytest.param(10_000, marks=pytest.mark.slow)])
def test_no_request_is_lost_or_mixed_up_by_swaps(count: int) -> None:
    gateway = Gateway(Fleet(NAME, Lineup(echo("v0", 0.001)), "salt"))
    released = [gateway.fleet.lineup.champion]
    with running(gateway) as found:

        def swap(number: int) -> None:
            released.append(echo(f"v{number}", 0.001))
            gateway.fleet.swap(Lineup(released[-1]))

        seen = asyncio.run(_storm(found.url, count, 32, swap))
        assert sum(seen.values()) == count and len(seen) >= 9
        time.sleep(0.1)
        assert [one.backend.closed for one in released] == [True] * 10 + [False]  # type: ignore[attr-defined]


def test_users_stay_where_they_are_and_shares_are_kept() -> None:
    lineup = Lineup(echo("v1"), {"canary": echo("v2"), "challenger": echo("v3")}, {"canary": 0.05, "challenger": 0.5})
    fleet = Fleet(NAME, lineup, "salt")
    chosen = [fleet.choose(NAME, f"user {k}")[0] for k in range(4000)]
    assert chosen == [fleet.choose(NAME, f"user {k}")[0] for k in range(4000)]
    counts = Counter(chosen)
    assert abs(counts["canary"] - 200) < 4 * math.sqrt(190) and abs(counts["challenger"] - 2000) < 4 * math.sqrt(1000)
    assert np.corrcoef([place_of(f"u{k}", "a") for k in range(2000)], [place_of(f"u{k}", "b") for k in range(2000)])[0, 1] < 0.1
    fleet.halt("canary", "worse")
    assert Counter(fleet.choose(NAME, f"user {k}")[0] for k in range(4000))["canary"] == 0
    assert fleet.choose("v2", "anyone") == ("canary", lineup.others["canary"])
    with pytest.raises(Problem, match="not served"):
        fleet.choose("v9", "anyone")


def test_a_shadow_and_the_other_side_of_a_canary_are_asked_beside(tmp_path: Path) -> None:
    log = TrafficWriter(tmp_path / "traffic.sqlite")
    lineup = Lineup(echo("v1"), {"canary": echo("v2"), "shadow": echo("v3")}, {"canary": 0.5, "shadow": 1.0})
    gateway = Gateway(Fleet(NAME, lineup, "salt"), log=log, salt=Salt(tmp_path / "salt"))
    with running(gateway) as found, found.http() as client:
        for k in range(20):
            text = client.post(CHAT, json=body(f"text {k}", user=f"user {k}")).json()["choices"][0]["message"]["content"]
            assert text.startswith(("v1: ", "v2: "))
            time.sleep(0.01)
        time.sleep(0.2)
    lines = list(TrafficReader(log.file).records())
    answered = {line.request_id: line for line in lines if line.route != "shadow"}
    shadows = [line for line in lines if line.route == "shadow"]
    assert len(answered) == len(shadows) == 20 and {line.model for line in answered.values()} == {"v1", "v2"}
    assert all(line.model == ("v3" if answered[line.answers].model == "v1" else "v1") for line in shadows)
    assert len({line.user for line in answered.values()}) == 20 and not any("user" in line.user for line in lines)


def line(name: str, route: Any, candidate: str, completion: str = "a", answers: str = "") -> TrafficRecord:
    return TrafficRecord(
        request_id=name,
        at=moment(datetime(2026, 1, 1, tzinfo=UTC)),
        model="m",
        release="",
        candidate=candidate,
        template="",
        route=route,
        prompt=None,
        completion=completion,
        prompt_tokens=1,
        completion_tokens=1,
        latency_s=0.1,
        first_token_s=None,
        finish="stop",
        answers=answers,
    )


def _trial(harm: float, seed: int, rows: int = 400) -> int | None:
    """Labelled canary requests until it is halted; None where it is not. Right answers: champion 0.9, canary 0.9 - harm."""
    draw = np.random.default_rng(seed)
    lines: list[tuple[TrafficRecord, tuple[Feedback, ...]]] = []
    for k in range(rows):
        for route, right in (("champion", 0.9), ("canary", 0.9 - harm)):
            record = line(f"{route}{k}", route, route)
            thumb = "up" if draw.random() < right else "down"
            lines.append((record, (Feedback(request_id=record.request_id, at=record.at, thumb=thumb),)))
    step = next((k for k in range(20, rows, 20) if trial(lines[: 2 * k], "canary", "champion").worse), None)
    return step


def test_a_canary_that_is_worse_is_halted_and_one_that_is_equal_is_not() -> None:
    worse = [_trial(0.3, seed_of("worse", k), 200) for k in range(10)]
    assert all(worse) and np.median([found or 0 for found in worse]) <= 120
    assert sum(_trial(0.0, seed_of("equal", k), 200) is not None for k in range(20)) <= 2


def test_a_correction_is_held_against_both_answers_to_the_same_request() -> None:
    lines: list[Any] = []
    for k in range(30):
        said = (Feedback(request_id=f"r{k}", at=moment(), correction="billing"),)
        lines += [(line(f"r{k}", "canary", "canary", "access"), said), (line(f"s{k}", "shadow", "champion", "Billing", f"r{k}"), ())]
    found = trial(lines, "canary", "champion")
    assert found.labelled_pairs == 30 and found.worse is not None and "30 labelled pairs" in found.worse
    assert trial(lines[:10], "canary", "champion").worse is None


def test_rates_of_a_key_and_open_requests_are_limited(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "keys.json")
    text = keys.create("anna", ["chat"], Limits(requests_per_minute=12))[1]
    other = keys.create("ben", ["chat"], Limits(tokens_per_minute=60))[1]
    gateway = Gateway(Fleet(NAME, Lineup(echo("v1", 0.2)), "salt"), GatewaySettings(most_open=3), keys=keys)
    with running(gateway) as found:
        with found.http(headers={"authorization": f"Bearer {text}"}) as client:
            replies = [client.post(CHAT, json=body("x")) for _ in range(3)]
        assert [reply.status_code for reply in replies] == [200, 200, 429]
        assert 3 <= int(replies[-1].headers["retry-after"]) <= 6 and replies[-1].json()["error"]["type"] == "rate_limit_error"

        async def crowd() -> list[int]:
            async with httpx2.AsyncClient(base_url=found.url, headers={"authorization": f"Bearer {other}"}) as http:
                sent = [http.post(CHAT, json=body("x")) for _ in range(8)]
                return [reply.status_code for reply in await asyncio.gather(*sent)]

        assert Counter(asyncio.run(crowd())) == {200: 3, 429: 5}
        assert Counter(asyncio.run(crowd()))[200] == 0  # 15 tokens were written; 10 seconds' worth are allowed at once
        assert gateway.admission.open == 0
    admission = Admission(most_open=1, draining=True)
    with pytest.raises(Problem, match="going down"), admission.admitted(keys.caller(f"Bearer {other}")):
        pass


def test_a_signal_lets_what_is_under_way_be_finished() -> None:
    gateway = Gateway(Fleet(NAME, Lineup(echo("v1", 0.4)), "salt"))
    with running(gateway) as found:

        async def last() -> tuple[Any, Any]:
            whole = body("x", stream=True)
            async with httpx2.AsyncClient(base_url=found.url, timeout=20) as http, http.stream("POST", CHAT, json=whole) as stream:
                assert (await http.get("/readyz")).status_code == 200
                gateway.admission.draining = True
                refused = await http.post(CHAT, json=body("y"))
                assert refused.status_code == 503 and (await http.get("/readyz")).status_code == 503
                found.server.should_exit = True
                return refused, (await stream.aread()).decode()

        refused, text = asyncio.run(last())
    assert refused.headers["retry-after"] == "1" and text.endswith("data: [DONE]\n\n") and '"x"' in text


def test_who_does_not_answer_is_told_and_does_not_stop_others() -> None:
    class Broken(Echo):
        async def answer(self, job: Job) -> Any:
            yield Part(0, "half ")
            yield Part(0, "", end="error", error="the model failed (RuntimeError)")

        async def healthy(self) -> bool:
            return False

    served = Served("v1", "v1", candidate_named("v1"), "t", Broken("v1"))
    gateway = Gateway(Fleet(NAME, Lineup(served, {"challenger": echo("v2", 3.0)}, {}), "salt"), GatewaySettings(answer_s=0.3))
    with running(gateway) as found, found.http() as client:
        assert client.get("/readyz").status_code == 503 and client.get("/healthz").status_code == 200
        reply = client.post(CHAT, json=body("x"))
        assert reply.status_code == 503 and "RuntimeError" in reply.json()["error"]["message"]
        streamed = client.post(CHAT, json=body("x", stream=True))
        assert streamed.status_code == 200 and '"error"' in streamed.text and "[DONE]" not in streamed.text
        late = client.post(CHAT, json={**body("x"), "model": "v2"})
        assert late.status_code == 504 and served.open == 0
