"""An endpoint through all its faults, against a real server on loopback that counts what it is asked."""

from __future__ import annotations

import asyncio
import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from provetune.errors import EndpointError, Notice
from provetune.models import endpoint_asking
from provetune.models.endpoint import EndpointGenerator
from provetune.models.endpoint_asking import Endpoint
from provetune.models.responses import ResponseCache
from provetune.pricing import TokenPrice
from provetune.protocols import Completion
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Message
from provetune.spec.endpoint import EndpointSpec
from tests.fake_endpoint import KEY, MODEL, FakeEndpoint

GREEDY = GenerationSettings(max_new_tokens=8)
PRICE = TokenPrice(1_000.0, 10_000.0)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", KEY)
    monkeypatch.setattr(endpoint_asking, "BACKOFF_S", 0.005)


@pytest.fixture
def server() -> Iterator[FakeEndpoint]:
    with FakeEndpoint().running() as fake:
        yield fake


def generator(server: FakeEndpoint, folder: Path, price: TokenPrice | None = None, **settings: Any) -> EndpointGenerator:
    if price is not None:
        settings |= {"usd_per_million_prompt_tokens": 1_000.0, "usd_per_million_completion_tokens": 10_000.0}
    spec = EndpointSpec(**{"url": server.url, "key_from": "SOME_KEY", "request_s": 5.0, **settings})
    return EndpointGenerator(Endpoint(spec, MODEL, price), ResponseCache(folder / "responses.sqlite"), folder / "endpoints")


def asked(texts: Sequence[str]) -> list[list[Message]]:
    return [[Message(role="user", content=text)] for text in texts]


def silent(what: str, done: int, total: int) -> None:
    assert 0 <= done <= total


def ask(found: EndpointGenerator, texts: Sequence[str], settings: GenerationSettings = GREEDY) -> list[Completion]:
    return found.generate(asked(texts), settings, silent)


NAMES = [f"row {number}" for number in range(20)]


class TestAnswers:
    @pytest.mark.parametrize("stream", [False, True])
    def test_every_prompt_is_asked_once_and_answered_in_order(self, server: FakeEndpoint, tmp_path: Path, stream: bool) -> None:
        server.delay_s = 0.02
        seen: list[int] = []
        one = generator(server, tmp_path, stream=stream, concurrency=4)
        found = one.generate(asked([*NAMES, "row 3"]), GREEDY, lambda what, done, total: seen.append(done))
        assert [c.text for c in found] == [f"answer to {name}" for name in [*NAMES, "row 3"]]
        assert found[0] == Completion("answer to row 0", 20, 5, True)
        assert server.asked == dict.fromkeys(NAMES, 1) and 1 < server.most_open <= 4
        assert seen == sorted(seen) and seen[-1] == 21
        again = generator(server, tmp_path, stream=stream)
        assert ask(again, NAMES) == found[:20] and server.asked.total() == 20
        assert len(again.requests(asked(NAMES), GREEDY)) == 20

    def test_what_is_sent(self, server: FakeEndpoint, tmp_path: Path) -> None:
        ask(generator(server, tmp_path), ["hi"])
        assert server.bodies == [{"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 8, "temperature": 0.0}]

    def test_another_model_or_setting_is_another_answer(self, server: FakeEndpoint, tmp_path: Path) -> None:
        one = generator(server, tmp_path)
        ask(one, ["a"])
        ask(one, ["a"], GenerationSettings(max_new_tokens=9))
        assert server.asked["a"] == 2

    def test_labels_are_held_to_and_unwrapped(self, server: FakeEndpoint, tmp_path: Path) -> None:
        server.answer = lambda text: "refund"
        settings = GenerationSettings(max_new_tokens=2, choices=("refund", "a label of twenty-two"))
        assert ask(generator(server, tmp_path), ["a"], settings)[0].text == "refund"
        form = server.bodies[0]["response_format"]["json_schema"]
        assert form["strict"] and form["schema"]["properties"]["label"]["enum"] == list(settings.choices)
        assert server.bodies[0]["max_tokens"] >= len('{"label": "a label of twenty-two"}')

    def test_where_labels_cannot_be_held_to_they_are_written_freely_and_that_is_said(self, server: FakeEndpoint, tmp_path: Path) -> None:
        server.always("lacks response_format")
        settings = GenerationSettings(choices=("yes", "no"))
        one = generator(server, tmp_path)
        with pytest.warns(Notice, match="does not take response_format; .* written freely"):
            assert ask(one, ["a", "b"], settings)[1].text == "answer to b"
        assert server.asked == {"a": 2, "b": 1}  # the probe alone finds out
        assert one.lacks == {"response_format"}
        assert ask(generator(server, tmp_path), ["c"], settings)[0].text and server.asked["c"] == 1

    def test_newer_parameter_names_and_fixed_temperatures(self, server: FakeEndpoint, tmp_path: Path) -> None:
        server.fault = lambda text, number: ("lacks max_tokens", "lacks temperature")[number] if number < 2 else None
        with pytest.warns(Notice):
            assert ask(generator(server, tmp_path), ["a"])[0].text
        assert server.bodies[-1] == {"model": MODEL, "messages": [{"role": "user", "content": "a"}], "max_completion_tokens": 8}

    def test_unknown_tokens_stay_unknown_and_a_long_answer_is_not_stopped(self, server: FakeEndpoint, tmp_path: Path) -> None:
        server.always("no usage")
        one = generator(server, tmp_path)
        ask(one, ["a"])
        assert [r.tokens for r in one.requests(asked(["a"]), GREEDY)] == [None]
        server.always("no length")
        assert ask(one, ["b"]) == [Completion("answer to b", 20, 5, False)]

    def test_within_a_running_event_loop(self, server: FakeEndpoint, tmp_path: Path) -> None:
        async def cell() -> list[Completion]:
            return ask(generator(server, tmp_path), ["a"])

        assert asyncio.run(cell())[0].text == "answer to a"

    def test_drawn_completions_are_separate_draws(self, server: FakeEndpoint, tmp_path: Path) -> None:
        settings = GenerationSettings(temperature=0.7, seed=3)
        ask(generator(server, tmp_path), ["a", "a"], settings)
        assert len({body["seed"] for body in server.bodies}) == 2


class TestFaultsThatPass:
    @pytest.mark.parametrize("fault", ["429", "500", "cut", "no json", "no choices", "error in 200", "429 for 0.05 s", "503 for 0.05 s"])
    @pytest.mark.parametrize("stream", [False, True])
    def test_asked_again_until_answered(self, server: FakeEndpoint, tmp_path: Path, fault: str, stream: bool) -> None:
        server.first(fault, times=2)
        one = generator(server, tmp_path, stream=stream)
        assert [c.text for c in ask(one, NAMES[:6])] == [f"answer to {name}" for name in NAMES[:6]]
        assert server.asked == dict.fromkeys(NAMES[:6], 3)
        ended = [r.ended for r in one.requests(asked(NAMES[:6]), GREEDY)]
        assert len(ended) == 18 and ended.count("answered") == 6

    def test_a_stream_that_ends_without_its_end(self, server: FakeEndpoint, tmp_path: Path) -> None:
        server.first("ends early")
        one = generator(server, tmp_path, stream=True)
        assert ask(one, ["a"])[0].text == "answer to a"
        assert one.requests(asked(["a"]), GREEDY)[0].ended == "the stream was cut before its end"

    @pytest.mark.parametrize("fault", ["stall", "drip"])
    def test_a_request_that_takes_too_long_is_asked_again(self, server: FakeEndpoint, tmp_path: Path, fault: str) -> None:
        server.first(fault)
        one = generator(server, tmp_path, request_s=0.3)
        began = time.monotonic()
        assert ask(one, ["a"])[0].text == "answer to a" and time.monotonic() - began < 3
        assert one.requests(asked(["a"]), GREEDY)[0].ended == "no answer within 0.3 s"

    def test_a_stall_of_the_whole_endpoint_shorter_than_the_limit_is_outlasted(self, server: FakeEndpoint, tmp_path: Path) -> None:
        until = time.monotonic() + 2.0  # ten minutes on a clock 300 times as fast, which the default limits share
        server.fault = lambda text, number: "stall" if time.monotonic() < until else None
        found = ask(generator(server, tmp_path, request_s=0.4, stall_s=3.0), NAMES)
        assert all(c.text for c in found)

    def test_a_storm_of_refusals_wears_off(self, server: FakeEndpoint, tmp_path: Path) -> None:
        def fault(text: str, number: int) -> str | None:
            return "429 for 0.02 s" if server.open.total() > 2 else None

        server.fault, server.delay_s = fault, 0.01
        one = generator(server, tmp_path, concurrency=8, tries=1)
        assert all(c.text for c in ask(one, [f"{n}" for n in range(60)]))
        assert any(r.ended.startswith("429") for r in one.requests(asked([f"{n}" for n in range(60)]), GREEDY))

    def test_retry_after_is_waited_for(self, server: FakeEndpoint, tmp_path: Path) -> None:
        server.first("429 for 0.4 s")
        ask(generator(server, tmp_path), ["a"])
        assert server.arrivals[1] - server.arrivals[0] >= 0.4

    def test_requests_per_minute_are_kept_to(self, server: FakeEndpoint, tmp_path: Path) -> None:
        ask(generator(server, tmp_path, requests_per_minute=1200), NAMES[:11])
        gaps = [b - a for a, b in zip(server.arrivals, server.arrivals[1:], strict=False)]
        assert server.arrivals[-1] - server.arrivals[0] >= 0.45 and sorted(gaps)[5] > 0.03

    def test_tokens_per_minute_are_kept_to(self, server: FakeEndpoint, tmp_path: Path) -> None:
        server.usage = lambda text: (92, 8)
        ask(generator(server, tmp_path, tokens_per_minute=60_000), NAMES[:7])  # 100 tokens in 0.1 s
        assert server.arrivals[-1] - server.arrivals[1] >= 0.45


class TestFaultsThatStay:
    def test_a_prompt_that_always_fails_is_not_measured_and_asked_again_by_the_next_run(self, server: FakeEndpoint, tmp_path: Path) -> None:
        server.fault = lambda text, number: "500" if text == "row 3" and number < 4 else None
        found = ask(generator(server, tmp_path, tries=4), NAMES)
        assert [c.text is None for c in found] == [name == "row 3" for name in NAMES]
        assert found[3].error == "500: busy, 4 times"
        assert ask(generator(server, tmp_path), NAMES)[3].text == "answer to row 3"
        assert server.asked == {**dict.fromkeys(NAMES, 1), "row 3": 5}

    @pytest.mark.parametrize(("fault", "reason"), [("too long", "maximum context length"), ("withheld", "content filter")])
    def test_what_lies_in_the_prompt_is_not_tried_again_and_stops_nothing(
        self, server: FakeEndpoint, tmp_path: Path, fault: str, reason: str
    ) -> None:
        server.always(fault)
        found = ask(generator(server, tmp_path), NAMES)
        assert all(c.text is None and c.error and reason in c.error for c in found)
        assert server.asked == dict.fromkeys(NAMES, 1)

    @pytest.mark.parametrize("fault", ["500", "no json", "cut", "huge"])
    def test_an_endpoint_that_only_fails_is_one_error(
        self, server: FakeEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
    ) -> None:
        monkeypatch.setattr(endpoint_asking, "LARGEST_RESPONSE", 1_000_000)
        server.always(fault)
        with pytest.raises(EndpointError, match="failed on 8 prompts one after the other .*the same command continues"):
            ask(generator(server, tmp_path, tries=2), [f"{n}" for n in range(1000)])
        assert server.asked.total() <= 2 * (1 + 8 + 8)

    def test_a_stall_longer_than_the_limit_stops_and_the_same_call_continues(self, server: FakeEndpoint, tmp_path: Path) -> None:
        server.fault = lambda text, number: None if server.answered.total() < 5 else "stall"
        with pytest.raises(EndpointError, match=r"has answered nothing for \d+ s \(no answer within 0.5 s\)") as caught:
            ask(generator(server, tmp_path, request_s=0.5, stall_s=1.2, tries=50, concurrency=2), NAMES)
        assert caught.value.exit_code == 8
        before = dict(server.answered)
        server.fault = lambda text, number: None
        assert all(c.text for c in ask(generator(server, tmp_path), NAMES))
        assert server.answered == dict.fromkeys(NAMES, 1) and len(before) >= 5

    def test_a_wait_beyond_the_limit_is_not_waited_for(self, server: FakeEndpoint, tmp_path: Path) -> None:
        server.always("429 for 43200 s")
        with pytest.raises(EndpointError, match="429: busy; it asks to wait 43,200 s"):
            ask(generator(server, tmp_path), NAMES)
        assert server.asked.total() == 1

    @pytest.mark.parametrize(
        ("fault", "match"), [("redirect", "redirects to elsewhere.example; that is not followed"), ("no credit", "has no credit left")]
    )
    def test_what_stops_at_the_first_request(self, server: FakeEndpoint, tmp_path: Path, fault: str, match: str) -> None:
        server.always(fault)
        with pytest.raises(EndpointError, match=match):
            ask(generator(server, tmp_path), NAMES)
        assert server.asked.total() == 1

    def test_a_wrong_model_name_is_one_error(self, server: FakeEndpoint, tmp_path: Path) -> None:
        one = generator(server, tmp_path)
        wrong = EndpointGenerator(Endpoint(one.endpoint.spec, "no-such-model"), ResponseCache(tmp_path / "r.sqlite"), tmp_path)
        with pytest.raises(EndpointError, match="knows no model 'no-such-model' at this address") as caught:
            ask(wrong, NAMES)
        assert server.asked.total() == 1 and caught.value.exit_code == 8

    def test_a_refused_key_is_one_error_that_does_not_show_it(
        self, server: FakeEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(1)
        monkeypatch.setenv("SOME_KEY", "sk-secret-987654")
        with pytest.raises(EndpointError, match=r"refuses the key \(401: Incorrect API key provided: Bearer \[key\]\)") as caught:
            ask(generator(server, tmp_path), NAMES)
        assert server.asked.total() == 1
        kept = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
        assert len(kept) >= 2 and b"secret" not in b"".join(kept)
        assert "secret" not in f"{caught.value!r}{caplog.text}"

    @pytest.mark.parametrize("value", ["", "two words", "line\nbreak"])
    def test_a_key_that_is_none(self, server: FakeEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
        monkeypatch.setenv("SOME_KEY", value)
        with pytest.raises(EndpointError, match="in the environment variable SOME_KEY, wanted the key"):
            ask(generator(server, tmp_path), ["a"])
        assert not server.asked

    def test_nobody_there(self, tmp_path: Path) -> None:
        with pytest.raises(EndpointError, match="no connection"):
            ask(generator(FakeEndpoint("http://127.0.0.1:9/v1"), tmp_path, tries=1), NAMES)

    def test_offline_nothing_leaves_this_machine(self, server: FakeEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        assert ask(generator(server, tmp_path), ["a"])[0].text
        with pytest.raises(EndpointError, match="cannot be asked offline"):
            ask(generator(FakeEndpoint("https://example.invalid/v1"), tmp_path), ["a"])

    def test_likelihoods_are_not_offered(self, server: FakeEndpoint, tmp_path: Path) -> None:
        with pytest.raises(EndpointError, match="gives no likelihoods"):
            ask(generator(server, tmp_path), ["a"], GenerationSettings(choices=("a", "b"), scored=True))


def billed(server: FakeEndpoint) -> float:
    return math.fsum(PRICE(*tokens) for tokens in server.tokens)


class TestSpending:
    def test_the_cap_is_not_exceeded_at_concurrency_8_and_the_rest_is_not_measured(self, server: FakeEndpoint, tmp_path: Path) -> None:
        server.delay_s, server.usage = 0.01, lambda text: (20 + len(text), 8)
        one = generator(server, tmp_path, PRICE, max_usd=3.0)
        with pytest.warns(Notice, match=r"spending cap of \$3 is reached .* not measured") as said:
            found = ask(one, [f"row {n}" for n in range(100)])
        lost = [c for c in found if c.text is None]
        assert 0 < len(lost) < 90 and len(said) == 1
        assert all("the spending cap of $3 is reached" in (c.error or "") for c in lost)
        assert 2.5 < billed(server) <= 3.0
        with pytest.warns(Notice):
            ask(generator(server, tmp_path, PRICE, max_usd=3.0), [f"row {n}" for n in range(100)])
        assert billed(server) <= 3.0  # what was spent before counts
        assert all(c.text for c in ask(generator(server, tmp_path, PRICE, max_usd=100.0), [f"row {n}" for n in range(100)]))
        assert set(server.asked.values()) == {1}

    def test_an_endpoint_that_counts_more_than_can_be_foreseen_exceeds_the_cap_by_one_request_at_most(
        self, server: FakeEndpoint, tmp_path: Path
    ) -> None:
        server.delay_s, server.usage = 0.01, lambda text: (900, 40)
        with pytest.warns(Notice):
            ask(generator(server, tmp_path, PRICE, max_usd=10.0), [f"row {n}" for n in range(100)])
        assert billed(server) <= 10.0 + PRICE(900, 40)

    def test_a_cap_too_small_for_one_request_asks_nothing_and_waits_for_nothing(self, server: FakeEndpoint, tmp_path: Path) -> None:
        with pytest.warns(Notice):
            found = ask(generator(server, tmp_path, PRICE, max_usd=0.01, requests_per_minute=1), NAMES)
        assert all(c.text is None for c in found)
        assert not server.asked

    def test_what_failed_is_free_and_what_broke_off_may_have_cost(self, server: FakeEndpoint, tmp_path: Path) -> None:
        server.fault = lambda text, number: {"500": "500", "cut": "cut"}.get(text) if number == 0 else None
        one = generator(server, tmp_path, PRICE)
        ask(one, ["500", "cut", "whole"])
        usd = {text: [r.usd for r in one.requests(asked([text]), GREEDY)] for text in ("500", "cut", "whole")}
        cost = PRICE(20, 5)
        assert usd["500"] == [0.0, cost] and usd["whole"] == [cost]
        assert usd["cut"][0] is not None and usd["cut"][0] > cost and usd["cut"][1] == cost


CHILD = """
import sys
from pathlib import Path
from provetune.models.endpoint import EndpointGenerator
from provetune.models.endpoint_asking import Endpoint
from provetune.models.responses import ResponseCache
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Message
from provetune.spec.endpoint import EndpointSpec

folder, url, model = Path(sys.argv[1]), *sys.argv[2:]
prices = {"usd_per_million_prompt_tokens": 1_000.0, "usd_per_million_completion_tokens": 10_000.0}
spec = EndpointSpec(url=url, key_from="SOME_KEY", max_usd=1000.0, **prices)
endpoint = Endpoint(spec, model, lambda prompt, completion: (prompt * 1_000.0 + completion * 10_000.0) / 1e6)
rows = [[Message(role="user", content=f"row {n}")] for n in range(200)]
one = EndpointGenerator(endpoint, ResponseCache(folder / "responses.sqlite"), folder / "endpoints")
one.generate(rows, GenerationSettings(max_new_tokens=8), lambda what, done, total: None)
"""


def test_killed_at_any_moment_it_asks_again_only_for_what_was_under_way(server: FakeEndpoint, tmp_path: Path) -> None:
    server.delay_s = 0.02
    rows = [f"row {n}" for n in range(200)]
    one = generator(server, tmp_path, PRICE, max_usd=1000.0)
    under_way: list[set[str]] = []
    for wanted in (20, 90):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path), server.url, MODEL])
        deadline = time.monotonic() + 60
        while server.answered.total() < wanted and time.monotonic() < deadline:
            time.sleep(0.002)
        child.send_signal(signal.SIGKILL)
        child.wait()
        time.sleep(0.2)  # the server finishes what it was asked
        keys = {text: one._asks(asked([text]), GREEDY)[0].key for text in rows}
        kept = ResponseCache(tmp_path / "responses.sqlite").read(keys.values())
        under_way.append({text for text in server.asked if keys[text] not in kept})
        assert 1 <= len(under_way[-1]) <= 8
    before = dict(server.asked)
    assert [c.text for c in ask(one, rows)] == [f"answer to {row}" for row in rows]
    twice = {row for row in rows if server.asked[row] > 1}
    assert twice <= set().union(*under_way) and len(twice) <= 2 * 8
    assert all(server.asked[row] == before.get(row, 0) + (row not in before or row in under_way[-1]) for row in rows)
    # every request that the server saw is in the journal, and what was under way counts at its highest price
    requests = one.requests(asked(rows), GREEDY)
    assert len(requests) >= server.asked.total()
    assert math.fsum(r.usd or 0.0 for r in requests) >= billed(server)
    assert sum(r.ended == "unknown" for r in requests) <= 2 * 8


def test_half_a_line_of_the_journal_is_skipped(server: FakeEndpoint, tmp_path: Path) -> None:
    one = generator(server, tmp_path, PRICE)
    ask(one, ["a"])
    with one.journal.file.open("ab") as file:
        file.write(b'{"asked": "12')
    ask(one, ["b"])
    assert [r.ended for r in one.journal.requests()] == ["answered", "answered"]
    assert all(json.loads(line) for line in one.journal.file.read_text().splitlines() if not line.endswith('"12'))
