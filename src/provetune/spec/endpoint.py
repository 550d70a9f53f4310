"""A model behind an OpenAI-compatible endpoint: where it is, how fast it may be asked, what it may cost."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from provetune.spec.parts import Count, SpecPart

Positive = Annotated[float, Field(gt=0)]
Price = Annotated[float, Field(ge=0)]


def is_loopback(url: str) -> bool:
    """Whether the address is this machine.

    >>> is_loopback("http://127.0.0.1:8000/v1"), is_loopback("https://example.com/v1")
    (True, False)
    """
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class EndpointSpec(SpecPart):
    """`url` up to `/v1`. The key is read from the environment variable that `key_from` names, and stored nowhere.

    A request may take `request_s` seconds; a prompt is given up after `tries` failures of its own; where nothing at all is answered
    for `stall_s` seconds the run stops with its state saved. `max_usd` counts all that was ever spent on this model in the project.
    """

    url: str
    key_from: str | None = None
    concurrency: Annotated[int, Field(ge=1, le=256)] = 8
    requests_per_minute: Positive | None = None
    tokens_per_minute: Positive | None = None
    usd_per_million_prompt_tokens: Price | None = None
    usd_per_million_completion_tokens: Price | None = None
    max_usd: Positive | None = None
    request_s: Positive = 120.0
    stall_s: Positive = 900.0
    tries: Count = 6
    stream: bool = False
    allow_http: bool = False

    @field_validator("url")
    @classmethod
    def _an_address(cls, url: str) -> str:
        if set("@?#") & set(url):  # it may hold a key: it is not repeated
            raise ValueError("found a user, a query or a fragment in the address; a key belongs into the environment, see key_from")
        try:
            parts = urlsplit(url)
            whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            whole = False
        if not whole or not url.isprintable() or " " in url:
            raise ValueError(f"found {url!r}, wanted an address such as https://example.com/v1")
        return url.rstrip("/")

    @field_validator("key_from")
    @classmethod
    def _name_of_a_variable(cls, name: str | None) -> str | None:
        if name is not None and (not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or name.startswith("sk_")):
            # what was found may be the key itself: it is not repeated
            raise ValueError("wanted the name of an environment variable, such as OPENAI_API_KEY; the key itself belongs into no file")
        return name

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if urlsplit(self.url).scheme == "http" and not (self.allow_http or is_loopback(self.url)):
            raise ValueError(f"{self.url} is not encrypted; use https, or set allow_http to true on a network that you trust")
        prices = (self.usd_per_million_prompt_tokens, self.usd_per_million_completion_tokens)
        if (prices[0] is None) != (prices[1] is None):
            raise ValueError("found one price, wanted both usd_per_million_prompt_tokens and usd_per_million_completion_tokens")
        if self.max_usd is not None and prices[0] is None:
            raise ValueError("max_usd needs usd_per_million_prompt_tokens and usd_per_million_completion_tokens")
        return self
