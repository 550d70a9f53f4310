"""In front of somebody else's engine: what it says goes through, what it does wrong is told apart from what the client does wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from provetune.serving.fleet import Served
from provetune.serving.proxy_backend import ProxyBackend
from tests.fake_endpoint import KEY, MODEL, FakeEndpoint
from tests.gateways import NAME, Running, candidate_named, gateway_over, running

TOOL: Any = {"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    with FakeEndpoint().running() as found:
        yield found


@pytest.fixture
def gateway(endpoint: FakeEndpoint) -> Iterator[Running]:
    candidate = candidate_named("v1", choices=("billing", "access"), max_new_tokens=7)
    with running(gateway_over(Served("v1", "v1", candidate, "t", ProxyBackend(endpoint.url, MODEL, KEY)))) as found:
        yield found


@pytest.fixture
def client(gateway: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0) as found:
        yield found


def asked(client: openai.OpenAI, text: str = "hello", **more: Any) -> Any:
    return client.chat.completions.create(model=NAME, messages=[{"role": "user", "content": text}], **more)


def test_answers_and_streams_go_through(client: openai.OpenAI, endpoint: FakeEndpoint) -> None:
    found = asked(client, user="anna", metadata={"a": "b"})
    assert (found.choices[0].message.content, found.usage.prompt_tokens, found.model) == ("answer to hello", 20, "v1")
    assert "".join(chunk.choices[0].delta.content or "" for chunk in asked(client, stream=True)) == "answer to hello"
    sent = next(body for body in endpoint.bodies if body["messages"][0]["content"] == "hello")  # the first ones may ask for health
    assert sent["model"] == MODEL and sent["structured_outputs"] == {"choice": ["billing", "access"]} and sent["max_tokens"] == 7
    assert not {"user", "metadata"} & sent.keys()
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    asked(client, tools=[TOOL], tool_choice="auto", response_format=form, max_completion_tokens=9)
    sent = next(body for body in endpoint.bodies if "tools" in body)
    assert (
        sent["tools"] == [TOOL]
        and sent["response_format"]["type"] == "json_schema"
        and "structured_outputs" not in sent
        and "max_tokens" not in sent
        and sent["max_completion_tokens"] == 9
    )


FAULTS = {"429 for 3 s": 429, "500": 502, "503": 503, "too long": 400, "redirect": 502, "no json": 502, "cut": 502}


@pytest.mark.parametrize(("fault", "status"), FAULTS.items())
def test_faults_are_told(client: openai.OpenAI, endpoint: FakeEndpoint, fault: str, status: int) -> None:
    endpoint.always(fault)
    with pytest.raises(openai.APIStatusError) as caught:
        asked(client)
    assert caught.value.status_code == status
    if status == 429:
        assert caught.value.response.headers["retry-after"] == "3"


def test_a_key_that_is_refused_and_a_dead_engine_are_no_fault_of_the_client(gateway: Running, endpoint: FakeEndpoint) -> None:
    import asyncio

    async def healthy(key: str, url: str) -> bool:
        backend = ProxyBackend(url, MODEL, key)
        found = await backend.healthy()
        await asyncio.to_thread(backend.close)
        return found

    assert asyncio.run(healthy(KEY, endpoint.url)) and not asyncio.run(healthy("other", endpoint.url))
    assert not asyncio.run(healthy(KEY, "http://127.0.0.1:9/v1"))
    endpoint.key = "changed"
    with gateway.http() as client:
        reply = client.post("/v1/chat/completions", json={"model": NAME, "messages": [{"role": "user", "content": "x"}]})
    assert reply.status_code == 502 and "changed" not in reply.text and KEY not in reply.text


def test_a_stream_that_breaks_off_ends_with_an_error(gateway: Running, endpoint: FakeEndpoint) -> None:
    endpoint.always("ends early")
    with gateway.http() as client:
        body = {"model": NAME, "messages": [{"role": "user", "content": "x"}], "stream": True}
        text = client.post("/v1/chat/completions", json=body).text
    last = json.loads(text.strip().rpartition("data: ")[2])
    assert last["error"]["message"] == "the back end broke off" and "[DONE]" not in text
