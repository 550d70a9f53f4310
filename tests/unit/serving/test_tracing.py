"""Spans of requests: their names, and nothing that was said unless it is switched on."""

from __future__ import annotations

from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from provetune.serving.tracing import NAMES, tracing_of
from tests.gateways import NAME, gateway_over, running, served_from


@pytest.mark.parametrize("content", [False, True])
def test_a_request_is_a_span(tiny_folder: Path, content: bool) -> None:
    exporter = InMemorySpanExporter()
    gateway = gateway_over(served_from(tiny_folder, "v1"), tracing=tracing_of(exporter, content=content))
    with running(gateway) as found, found.http() as client:
        body = {"model": NAME, "messages": [{"role": "user", "content": "a secret word"}], "max_tokens": 3}
        reply = client.post("/v1/chat/completions", json=body)
        client.post("/v1/chat/completions", json={**body, "max_tokens": 600})
    span, refused = exporter.get_finished_spans()
    assert span.name == f"chat {NAME}" and span.attributes is not None and refused.attributes is not None
    told = dict(span.attributes)
    assert told["gen_ai.operation.name"] == "chat" and told["gen_ai.response.model"] == "v1"
    assert told["gen_ai.usage.output_tokens"] == reply.json()["usage"]["completion_tokens"]
    assert ("secret word" in str(told)) is content and (NAMES["completion"] in told) is content
    assert refused.attributes["error.type"] == "context_length_exceeded"
