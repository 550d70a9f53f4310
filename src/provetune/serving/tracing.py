"""OpenTelemetry traces, where its SDK is installed; every name of an attribute stands here, as the conventions still move."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

CONVENTIONS = "gen_ai semantic conventions, development state of 2026-06"
SPAN = "{operation} {model}"
NAMES = {
    "operation": "gen_ai.operation.name",
    "provider": "gen_ai.provider.name",
    "asked_model": "gen_ai.request.model",
    "max_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "model": "gen_ai.response.model",
    "id": "gen_ai.response.id",
    "finish": "gen_ai.response.finish_reasons",
    "prompt_tokens": "gen_ai.usage.input_tokens",
    "completion_tokens": "gen_ai.usage.output_tokens",
    "prompt": "gen_ai.input.messages",
    "completion": "gen_ai.output.messages",
    "error": "error.type",
    "route": "provetune.route",
    "release": "provetune.release",
}
"""What is told -> its attribute."""
CONTENT = {"prompt", "completion"}


@dataclass
class Told:
    """What becomes of one request, collected while it is answered."""

    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Tracing:
    """Spans of a `tracer` (None: nothing is traced). What was said is left out unless `content` is switched on."""

    tracer: Any = None
    content: bool = False

    @contextmanager
    def span(self, operation: str, model: str) -> Iterator[Told]:
        """One request; what is told of it by the end becomes attributes."""
        told = Told({"operation": operation, "provider": "provetune", "asked_model": model})
        if self.tracer is None:
            yield told
            return
        with self.tracer.start_as_current_span(SPAN.format(operation=operation, model=model)) as span:
            try:
                yield told
            finally:
                for name, value in told.facts.items():
                    if value is not None and (self.content or name not in CONTENT):
                        span.set_attribute(NAMES[name], value)


def tracing_of(exporter: Any, *, content: bool = False) -> Tracing:
    """Tracing into an exporter of the SDK (`opentelemetry-sdk`, the extra `otel`)."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": "provetune"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Tracing(provider.get_tracer("provetune"), content)
