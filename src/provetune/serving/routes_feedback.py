"""`/v1/feedback`: what users and the business say later about an answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from provetune.records.traffic import BusinessOutcome, Feedback, Thumb
from provetune.serving.bodies import read_body, validated
from provetune.serving.gateway import Gateway
from provetune.serving.problems import Problem
from provetune.serving.requests import Asked
from provetune.traffic import moment

_COMPLETION = re.compile(r"^(?:chatcmpl-|cmpl-|req_)?([0-9a-f]{32})$")


class FeedbackAsked(Asked):
    """One piece of feedback. `id` is that of the completion, or of its request (the header `x-request-id`)."""

    id: str = Field(max_length=100)
    thumb: Thumb | None = None
    correction: Annotated[str, StringConstraints(max_length=100_000)] | None = None
    outcome: BusinessOutcome | None = None
    seconds_spent: float | None = Field(default=None, ge=0, le=1e9, allow_inf_nan=False)
    audit: bool = False

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if (self.thumb, self.correction, self.outcome, self.seconds_spent) == (None, None, None, None):
            raise ValueError("wanted at least one of thumb, correction, outcome, seconds_spent")
        return self


@dataclass(frozen=True)
class FeedbackRoute:
    """The route over one gateway."""

    gateway: Gateway

    async def post(self, request: Request) -> Response:
        """Take feedback in; 503 where the log has no room for it."""
        gateway = self.gateway
        caller = gateway.caller(request, "feedback")
        with gateway.admission.admitted(caller):
            asked = validated(FeedbackAsked, await read_body(request, gateway.settings.body_bytes, gateway.settings.body_s))
        named = _COMPLETION.match(asked.id)
        if named is None:
            raise Problem(400, "id: wanted the id of a completion (chatcmpl-...) or of its request (req_...)", "id", "invalid_value")
        if gateway.log is None:
            raise Problem(409, "this gateway keeps no log, so feedback would be lost; start it without --no-log", code="no_log")
        said = asked.model_dump(exclude={"id"})
        kept = gateway.log.put(Feedback(request_id=f"req_{named[1]}", at=moment(), **said))
        if not kept:
            raise Problem(503, "the log has no room at the moment", retry_after_s=5)
        gateway.feedback_seen += 1
        gateway.figures.add("feedback")
        return JSONResponse({"id": asked.id, "object": "feedback"})
