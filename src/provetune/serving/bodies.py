"""Bodies of requests: bytes read under a cap and a deadline, then JSON that is shallow and valid text all through."""

from __future__ import annotations

import asyncio
import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from provetune.serving.problems import Problem, invalid

DEPTH, ITEMS = 32, 200_000
T = TypeVar("T", bound=BaseModel)


async def read_body(request: Request, limit: int, seconds: float) -> bytes:
    """The whole body; Problem 413 above `limit` bytes (before it is read, where its length is told), 408 where it takes too long."""
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > limit:
        raise _too_large(limit)
    content = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                content += chunk
                if len(content) > limit:
                    raise _too_large(limit)
    except TimeoutError:
        raise Problem(408, f"the body took longer than {seconds:g} s", headers={"connection": "close"}) from None
    return bytes(content)


def _too_large(limit: int) -> Problem:
    return Problem(413, f"the body is larger than {limit:,} bytes", code="body_too_large", headers={"connection": "close"})


def parse_json(content: bytes) -> Any:
    """The value of a JSON text; Problem 400 where it is none, is nested too deeply, or holds what is no text or number."""
    try:
        value = json.loads(content, parse_constant=_no_constant)
    except RecursionError:
        raise invalid("the JSON is nested too deeply") from None
    except ValueError as error:
        raise invalid(f"the body is no JSON ({str(error)[:200]})") from None
    _walk(value)
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _walk(value: Any) -> None:
    level, seen = [value], 0
    for _ in range(DEPTH):
        following: list[Any] = []
        for item in level:
            if isinstance(item, str):
                _check_text(item)
            elif isinstance(item, dict):
                following += [*item.keys(), *item.values()]
            elif isinstance(item, list):
                following += item
        seen += len(following)
        if not following:
            return
        if seen > ITEMS:
            raise invalid(f"the JSON holds more than {ITEMS:,} values")
        level = following
    raise invalid(f"the JSON is nested more than {DEPTH} levels deep")


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise invalid("the JSON holds half a surrogate pair, which is no text") from None


def validated(kind: type[T], content: bytes) -> T:
    """The body as a `kind`; Problem 400 that names the first wrong field."""
    value = parse_json(content)
    if not isinstance(value, dict):
        raise invalid(f"found {type(value).__name__} as the body, wanted a JSON object")
    try:
        return kind.model_validate(value, strict=False)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or None
        if first["type"] == "extra_forbidden":
            raise invalid(f"unknown parameter {place!r}; it is not supported here", place, "unknown_parameter") from None
        raise invalid(f"{place or 'body'}: {first['msg']}", place, "invalid_value") from None
