"""What was asked of a served model and what became of its answers; redacted before it is kept."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from provetune.records.base import Record
from provetune.records.data import Message

Route = Literal["champion", "canary", "challenger", "shadow"]
"""Whose answer it is: a canary's (on trial) and a challenger's (A/B) are returned to a share of the users, a shadow's to nobody."""
Finish = Literal["stop", "length", "tool_calls", "error", "cancelled"]
Thumb = Literal["up", "down"]
BusinessOutcome = Literal["resolved", "escalated"]

AT = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00$"
"""A moment in UTC, to the millisecond: moments sort as texts do."""


class TrafficRecord(Record):
    """One answered request.

    `prompt` and `completion` are None where the text was not kept: its time is over, or the request was not drawn for keeping
    (`sampling_rate` says which share is). `user` is a salted hash of who asked, empty where nobody was named; `key` the id of the key
    that was used. A shadow's `answers` names the request whose answer was returned. `release`, `candidate` and `template` are
    fingerprints; `release` is empty where a folder was served that is in no registry. Times are seconds, `mean_logprob` is nats a token.
    """

    SCHEMA: ClassVar[str] = "traffic/1"
    request_id: str
    at: str = Field(pattern=AT)
    model: str
    release: str
    candidate: str
    template: str
    route: Route
    prompt: tuple[Message, ...] | None
    completion: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_s: float
    first_token_s: float | None
    finish: Finish
    schema_valid: bool | None = None
    mean_logprob: float | None = None
    user: str = ""
    key: str = ""
    answers: str = ""
    tags: dict[str, str] = Field(default_factory=dict)
    sampling_rate: float = Field(default=1.0, gt=0, le=1)
    redactor: str = ""


class Feedback(Record):
    """What a user or a business said later about the answer to `request_id`; at least one of the fields is given.

    `correction` is the answer as it should have been, redacted; `outcome` and `seconds_spent` are what the case came to. `audit` marks
    a label of the random draw, which is not biased by who complains.
    """

    SCHEMA: ClassVar[str] = "feedback/1"
    request_id: str
    at: str = Field(pattern=AT)
    thumb: Thumb | None = None
    correction: str | None = None
    outcome: BusinessOutcome | None = None
    seconds_spent: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    audit: bool = False

    def loss(self, completion: str | None) -> float | None:
        """1 where it says that the answer was wrong, 0 where right, None where it says neither.

        A correction counts first, then the thumb, then the outcome; blanks and case aside, a correction that equals the completion
        says right.
        """
        if self.correction is not None:
            return None if completion is None else float(_plain(self.correction) != _plain(completion))
        if self.thumb is not None:
            return float(self.thumb == "down")
        return None if self.outcome is None else float(self.outcome == "escalated")


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
