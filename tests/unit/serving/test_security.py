"""What an attacker may try: every attempt ends in a 4xx or a closed connection, and the gateway answers the next request."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provetune.errors import SpecError
from provetune.records.keys import Limits
from provetune.serving.gateway import GatewaySettings
from provetune.serving.keys import KeyFile
from provetune.traffic import Salt, TrafficWriter
from tests.gateways import NAME, Running, gateway_over, running, served_from

BODY: dict[str, Any] = {"model": NAME, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}
PATH = "/v1/chat/completions"
SETTINGS = GatewaySettings(header_s=0.6, body_s=0.6, body_bytes=1_000_000)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyFile:
    return KeyFile(tmp_path_factory.mktemp("keys") / "keys.json")


@pytest.fixture(scope="module")
def key(keys: KeyFile) -> str:
    return keys.create("anna", ["chat", "models"], Limits())[1]


@pytest.fixture(scope="module")
def gateway(tiny_folder: Path, keys: KeyFile, key: str) -> Iterator[Running]:
    with running(gateway_over(served_from(tiny_folder, "tickets-v1"), SETTINGS, keys=keys)) as found:
        yield found


def asked(gateway: Running, key: str, **change: Any) -> Any:
    with gateway.http(headers={"authorization": f"Bearer {key}"}) as client:
        return client.post(PATH, json={**BODY, **change})


@pytest.fixture(autouse=True)
def it_answers_afterwards(gateway: Running, key: str) -> Iterator[None]:
    yield
    assert asked(gateway, key).status_code == 200


def test_every_route_asks_for_a_key(gateway: Running, key: str, keys: KeyFile) -> None:
    with gateway.http() as client:
        routes = [("POST", PATH), ("POST", "/v1/completions"), ("POST", "/v1/feedback"), ("GET", "/v1/models"), ("GET", "/metrics")]
        for method, path in routes:
            for header in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {key}"}, {"authorization": f"Bearer {key}x"}):
                reply = client.request(method, path, headers=header, json=BODY if method == "POST" else None)
                assert reply.status_code == 401 and reply.headers["www-authenticate"] == "Bearer", (method, path, header)
                assert reply.json()["error"]["type"] == "authentication_error"
        reply = client.post("/v1/feedback", headers={"authorization": f"Bearer {key}"}, json={"id": "x", "thumb": "up"})
        assert reply.status_code == 403 and reply.json()["error"]["code"] == "scope_missing"
        assert client.get("/metrics", headers={"authorization": f"Bearer {key}"}).status_code == 403
        assert (client.get("/healthz").status_code, client.get("/readyz").status_code) == (200, 200)
    ended = keys.create("ben", ["chat"], Limits())[1]
    assert asked(gateway, ended).status_code == 200
    keys.revoke("ben")
    assert asked(gateway, ended).status_code == 401
    assert oct(keys.file.stat().st_mode)[-3:] == "600" and key not in keys.file.read_text()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1.evil.example"}, 421),
        ({"host": "localhost:99999999"}, 421),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 200),
    ],
)
def test_pages_and_names_of_others_are_refused(gateway: Running, key: str, headers: dict[str, str], status: int) -> None:
    with gateway.http(headers={"authorization": f"Bearer {key}", **headers}) as client:
        assert client.post(PATH, json=BODY).status_code == status
        assert "access-control-allow-origin" not in client.get("/healthz").headers


def test_a_body_of_100_mb_is_not_read(gateway: Running, key: str) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
    started = time.monotonic()
    told = gateway.raw(f"{head}Content-Length: 104857600\r\n\r\n{{".encode())
    assert told.startswith(b"HTTP/1.1 413 ") and time.monotonic() - started < 5
    part = b"10000\r\n" + b" " * 65536 + b"\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        told = b""
        try:
            for _ in range(1600):
                connection.sendall(part)
        except OSError:
            pass
        try:
            told = connection.recv(65536)
        except OSError:  # closed under the sender's hands
            told = b"HTTP/1.1 413 "
    assert told.startswith(b"HTTP/1.1 413 ")


def test_slow_senders_are_cut_off(gateway: Running, key: str) -> None:
    started = time.monotonic()
    assert gateway.raw(b"POST /v1/chat/completions HTTP/1.1\r\nHost: local") == b""
    assert gateway.raw(b"") == b""
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nContent-Length: 100\r\n\r\n"
    assert gateway.raw(f"{head}{{".encode()).startswith(b"HTTP/1.1 408 ")
    kept = f"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n{head[:30]}"
    told = gateway.raw(kept.encode())
    assert told.startswith(b"HTTP/1.1 200 ") and b"(timeout)" not in told
    assert time.monotonic() - started < 12


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Content-Length: +5\r\n",
        "Content-Length : 5\r\n",
        "X: a\r\n b\r\nContent-Length: 0x5\r\n",
        "Host: other\r\nContent-Length: 5\r\n",
    ],
)
def test_framing_that_can_be_read_in_two_ways_is_refused(gateway: Running, key: str, framing: str) -> None:
    smuggled = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n{framing}"
    told = gateway.raw(f"{head}\r\n0\r\n\r\n{smuggled}".encode())
    assert told[9:12] in (b"400", b"501") and told.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b'{"a":' * 200 + b"1" + b"}" * 200,
        b"",
        b"null",
        b"[]",
        b'{"model": NaN}',
        b'"\\ud800"',
        b"\xff\xfe",
        b'{"model": "tickets", "messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"model": "tickets", "messages": [{"role": "user", "content": ' + b"9" * 5_000 + b"}]}",
        b'{"model": "tickets", "messages": ' + b"[" + b",".join([b"[]"] * 250_000) + b"]" + b"}",
    ],
    ids=range(11),
)
def test_bodies_that_are_no_request(gateway: Running, key: str, content: bytes) -> None:
    with gateway.http(headers={"authorization": f"Bearer {key}"}) as client:
        reply = client.post(PATH, content=content)
    assert reply.status_code == 400 and reply.json()["error"]["message"]


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..\\..\\x", "tickets\x00", "ft:../x:::y", "%2e%2e/x", "a" * 10_000])
def test_names_that_could_be_paths_are_unknown_models(gateway: Running, key: str, name: str) -> None:
    assert asked(gateway, key, model=name).status_code in (400, 404)


def test_text_that_looks_like_a_template_is_text(gateway: Running, key: str) -> None:
    words = "{{ 7*7 }} {% for x in range(10**9) %}{% endfor %} {{ cycler.__init__.__globals__ }}"
    reply = asked(gateway, key, messages=[{"role": "user", "content": words}])
    assert reply.status_code == 200
    assert reply.json()["usage"]["prompt_tokens"] > len(words.encode())  # a token per byte: nothing was evaluated


@pytest.mark.parametrize(
    "change",
    [{"max_tokens": 10**9}, {"max_tokens": 2**70}, {"n": 10**6}, {"stop": ["x"] * 9}, {"seed": 2**70}, {"temperature": 1e400}],
)
def test_huge_numbers_are_refused(gateway: Running, key: str, change: dict[str, Any]) -> None:
    with gateway.http(headers={"authorization": f"Bearer {key}"}) as client:
        assert client.post(PATH, content=json.dumps({**BODY, **change})).status_code == 400


def test_a_prompt_beyond_the_context_is_told_in_tokens(gateway: Running, key: str) -> None:
    reply = asked(gateway, key, messages=[{"role": "user", "content": "x" * 5_000}])
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (400, "context_length_exceeded") and "512" in error["message"]


def test_nothing_that_was_planted_reaches_the_disk(tiny_folder: Path, tmp_path: Path) -> None:
    planted = ("jo.planted@example.org", "4111 1111 1111 1111", "sk-proj-Zx9Qw8Er7Ty6Ui5Op4As3Df2Gh1Jk0LmNbVc")
    state = tmp_path / ".provetune"
    log = TrafficWriter(state / "traffic.sqlite")
    keys = KeyFile(state / "keys.json")
    text = keys.create("anna", ["chat", "feedback"], Limits())[1]
    gateway = gateway_over(served_from(tiny_folder, "v1"), log=log, salt=Salt(state / "salt"), keys=keys)
    with running(gateway) as found, found.http(headers={"authorization": f"Bearer {text}"}) as client:
        words = " ".join(planted)
        turns = [{"role": "user", "content": words}]
        reply = client.post(PATH, json={**BODY, "messages": turns, "user": planted[0], "metadata": {"m": words}})
        assert reply.status_code == 200
        said = client.post("/v1/feedback", json={"id": reply.json()["id"], "correction": f"write to {words}", "thumb": "down"})
        assert said.status_code == 200
    held = b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file())
    assert b"[EMAIL]" in held and log.counters.written == 2
    assert not [word for word in (*planted, text) if word.encode() in held]


def test_an_open_address_needs_a_key(tmp_path: Path) -> None:
    from provetune.serving.source import Named
    from provetune.workflow.serve import ServeWish, open_gateway

    with pytest.raises(SpecError, match="keys create"):
        open_gateway(ServeWish(Named(tmp_path), host="0.0.0.0"))
    assert replace(SETTINGS).hosts == ("localhost", "127.0.0.1", "[::1]")
