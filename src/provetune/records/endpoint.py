"""What asking a model behind an endpoint took: requests, faults, tokens, seconds, dollars."""

from __future__ import annotations

from typing import ClassVar

from provetune.records.base import Record
from provetune.stats.estimate import Estimate


class EndpointUse(Record):
    """All requests for the rows of one evaluation, those of earlier runs included.

    `faults` counts requests that were not answered, by reason. Tokens are of answered requests, None where the endpoint did not
    count them for all. `usd` is the most that the requests can have cost and `usd_per_1k` the price of 1,000 answers, None without a
    price; `lacks` are parameters that the endpoint does not take, such as `response_format`.
    """

    SCHEMA: ClassVar[str] = "endpoint_use/1"
    candidate: str
    evaluation: str
    url: str
    model: str
    rows: int
    not_measured: int
    requests: int
    faults: dict[str, int]
    latency_p50_s: Estimate
    latency_p95_s: Estimate
    prompt_tokens: int | None
    completion_tokens: int | None
    usd: float | None
    usd_per_1k: Estimate | None
    max_usd: float | None
    lacks: tuple[str, ...]
