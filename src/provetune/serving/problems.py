"""What a request is refused with: a status and an error object in OpenAI's form."""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.responses import JSONResponse

_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


@dataclass
class Problem(Exception):
    """Raised anywhere below a route; `param` names the field that is wrong, `code` what is wrong, for programs."""

    status: int
    message: str
    param: str | None = None
    code: str | None = None
    retry_after_s: float | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def document(self) -> dict[str, object]:
        """The body of the answer."""
        kind = _TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        """The answer."""
        headers = dict(self.headers)
        if self.retry_after_s is not None:
            headers["retry-after"] = str(max(1, round(self.retry_after_s)))
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        return JSONResponse(self.document, self.status, headers)


def invalid(message: str, param: str | None = None, code: str | None = None) -> Problem:
    """A request that says something that cannot be meant."""
    return Problem(400, message, param, code)
