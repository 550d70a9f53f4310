"""One line of a log as an event: a request, a label that comes later, or both."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from provetune.monitoring.sample import Row
from provetune.monitoring.text import LONGEST

_TEXT = ("text", "prompt", "input", "question")
_PREDICTION = ("prediction", "completion", "output", "response", "answer")
_LABEL = ("label", "target", "correction")
_ID = ("id", "request_id", "custom_id")
_AT = ("at", "timestamp", "time", "created")
_USER = ("user", "user_id", "key")
_TRUE, _FALSE = {"true", "1", "yes", "up"}, {"false", "0", "no", "down"}
AHEAD_S = 300.0
"""Seconds that an event may be ahead of our clock before its date is not believed."""


@dataclass(frozen=True, slots=True)
class Event:
    """A request (`row` with text), or a label for `row.id` alone; `loss` is a person's, `weak` feedback's or a judge's."""

    row: Row
    loss: float | None = None
    weak: float | None = None
    cut: bool = False
    dated_ahead: bool = False


def event_of(line: Mapping[str, Any], now: datetime) -> Event | None:
    """The event on a line; None where it holds neither a text nor anything about an earlier request.

    Reads rows of `text`, `label`, `prediction`, `at`, `group`; OpenAI's requests and responses, also wrapped as `request` / `body` and
    `response`; and our own traffic records and feedback.

    >>> now = datetime(2026, 1, 1, tzinfo=UTC)
    >>> event_of({"messages": [{"role": "user", "content": "Hi"}], "choices": [{"message": {"content": "Hello"}}]}, now).row.prediction
    'Hello'
    """
    asked = _inner(line, "request", "body")
    answered = _inner(line, "response")
    answered = _inner(answered, "body") if isinstance(answered.get("body"), Mapping) else answered
    text = _first(asked, _TEXT) or _last_user_turn(asked.get("messages") or asked.get("prompt"))
    known = _first(line, _ID) or _first(answered, _ID)
    loss, weak = _number(line.get("loss")), _weak(line)
    label = _first(line, _LABEL)
    if not text and not (known and (label is not None or loss is not None or weak is not None)):
        return None
    at, ahead = _moment(next((line[key] for key in _AT if key in line), asked.get("created")), now)
    row = Row(
        text=(text or "")[:LONGEST],
        id=known or "",
        label=label,
        prediction=_prediction(line, answered),
        at=at,
        group=_first(line, ("group", "slice")) or _tag(line),
        user=_first(line, _USER) or _first(asked, _USER) or "",
        logprob=_number(line.get("mean_logprob", line.get("logprob"))),
        valid=_truth(line.get("schema_valid")),
        in_scope=_truth(line.get("in_scope")),
    )
    return Event(row, _bounded(loss), weak, cut=bool(text) and len(text or "") > LONGEST, dated_ahead=ahead)


def _inner(line: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    return next((line[key] for key in keys if isinstance(line.get(key), Mapping)), line)


def _first(line: Mapping[str, Any], keys: Sequence[str]) -> str | None:
    for key in keys:
        value = line.get(key)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
    return None


def _last_user_turn(messages: Any) -> str | None:
    """The text of the last user turn; of its text parts where it has several."""
    if not isinstance(messages, Sequence) or isinstance(messages, str):
        return None
    for turn in reversed(messages):
        if isinstance(turn, Mapping) and turn.get("role") == "user":
            content = turn.get("content")
            if isinstance(content, str):
                return content
            if isinstance(content, Sequence):
                return "\n".join(str(part["text"]) for part in content if isinstance(part, Mapping) and isinstance(part.get("text"), str))
    return None


def _prediction(line: Mapping[str, Any], answered: Mapping[str, Any]) -> str | None:
    choices = answered.get("choices")
    if isinstance(choices, Sequence) and choices and isinstance(choices[0], Mapping):
        message = choices[0].get("message")
        return _first(message, ("content",)) if isinstance(message, Mapping) else _first(choices[0], ("text",))
    return _first(line, _PREDICTION)


def _tag(line: Mapping[str, Any]) -> str | None:
    tags = line.get("tags")
    return next((str(tags[key]) for key in sorted(tags)), None) if isinstance(tags, Mapping) and tags else None


def _weak(line: Mapping[str, Any]) -> float | None:
    """A loss from a thumb, from `helpful` or from a judge's score of right (0 to 1)."""
    for key in ("thumb", "helpful"):
        right = _truth(line.get(key))
        if right is not None:
            return float(not right)
    score = _bounded(_number(line.get("judge")))
    return None if score is None else 1 - score


def _truth(value: Any) -> bool | None:
    word = str(value).strip().lower() if isinstance(value, str | bool | int) else ""
    return True if word in _TRUE else False if word in _FALSE else None


def _number(value: Any) -> float | None:
    try:
        found = float(value) if isinstance(value, str | int | float) and value != "" else None
    except ValueError:
        return None
    return found if found is not None and math.isfinite(found) else None


def _bounded(value: float | None) -> float | None:
    return value if value is not None and 0 <= value <= 1 else None


def _moment(value: Any, now: datetime) -> tuple[str, bool]:
    """UTC as text, empty where unknown; a moment ahead of our clock is replaced by now."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            found = datetime.fromtimestamp(value, UTC)
        elif isinstance(value, str) and value:
            found = datetime.fromisoformat(value)
            found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        else:
            return "", False
    except (ValueError, OverflowError, OSError):
        return "", False
    ahead = (found - now).total_seconds() > AHEAD_S
    return (now if ahead else found).isoformat(timespec="seconds"), ahead
