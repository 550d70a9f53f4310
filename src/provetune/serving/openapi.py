"""The OpenAPI document: made from the types that requests are checked by, so that it cannot say something else."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from provetune import __version__
from provetune.serving.bridge_requests import JobAsked
from provetune.serving.requests import ChatAsked, CompletionAsked
from provetune.serving.routes_feedback import FeedbackAsked

REF = "#/components/schemas/{model}"
_ERRORS = {"400": "what was asked cannot be meant", "401": "no key in use was sent", "403": "the key has not the scope"}
_MORE_ERRORS = {"408": "the body came too slowly", "413": "the body is too large", "429": "too much at a time", "503": "not now"}


def document(*, jobs: bool) -> dict[str, Any]:
    """All routes, in OpenAPI 3.1; those of the bridge with `jobs`."""
    kinds: list[type[BaseModel]] = [ChatAsked, CompletionAsked, FeedbackAsked, *([JobAsked] if jobs else [])]
    schemas: dict[str, Any] = {}
    for kind in kinds:
        schema = kind.model_json_schema(ref_template=REF)
        schemas |= schema.pop("$defs", {})
        schemas[kind.__name__] = schema
    paths = {
        "/v1/chat/completions": {"post": _taking("ChatAsked", "Write the next turn of a conversation")},
        "/v1/completions": {"post": _taking("CompletionAsked", "Continue a text")},
        "/v1/feedback": {"post": _taking("FeedbackAsked", "Say what an answer was worth")},
        "/v1/models": {"get": _plain("List what may be asked for")},
        "/v1/models/{name}": {"get": _plain("One model", "name")},
        "/healthz": {"get": _open("The process answers")},
        "/readyz": {"get": _open("Requests should be sent here")},
        "/metrics": {"get": _plain("Figures for Prometheus")},
    }
    if jobs:
        paths |= _bridge()
    return {
        "openapi": "3.1.0",
        "info": {"title": "provetune gateway", "version": __version__},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
        "security": [{"key": []}],
    }


def _bridge() -> dict[str, Any]:
    job = "/v1/fine_tuning/jobs/{job}"
    upload = {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}, "purpose": {"type": "string"}}}
    body = {"required": True, "content": {"multipart/form-data": {"schema": {**upload, "required": ["file", "purpose"]}}}}
    return {
        "/v1/files": {"get": _plain("List files"), "post": {**_plain("Upload a file"), "requestBody": body}},
        "/v1/files/{file}": {"get": _plain("One file", "file"), "delete": _plain("Delete a file", "file")},
        "/v1/files/{file}/content": {"get": _plain("What a file holds", "file")},
        "/v1/fine_tuning/jobs": {"get": _plain("List jobs"), "post": _taking("JobAsked", "Start a job")},
        job: {"get": _plain("One job", "job")},
        f"{job}/events": {"get": _plain("What happened", "job")},
        f"{job}/checkpoints": {"get": _plain("Looks at the validation rows", "job")},
        f"{job}/cancel": {"post": _plain("Stop a job", "job")},
    }


def _responses(*, takes: bool) -> dict[str, Any]:
    errors = {**_ERRORS, "404": "not found", "409": "not in this state", **(_MORE_ERRORS if takes else {"503": "not now"})}
    return {"200": {"description": "done"}, **{status: {"description": words} for status, words in errors.items()}}


def _taking(kind: str, summary: str) -> dict[str, Any]:
    schema = {"$ref": REF.format(model=kind)}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": _responses(takes=True),
    }


def _plain(summary: str, parameter: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"summary": summary, "responses": _responses(takes=False)}
    if parameter is not None:
        found["parameters"] = [{"name": parameter, "in": "path", "required": True, "schema": {"type": "string"}}]
    return found


def _open(summary: str) -> dict[str, Any]:
    return {"summary": summary, "security": [], "responses": {"200": {"description": "yes"}, "503": {"description": "no"}}}
