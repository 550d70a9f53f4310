"""Where an endpoint may be, and what its settings must say together."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from provetune.spec import ProjectSpec
from provetune.spec.endpoint import EndpointSpec
from provetune.spec.model import BaselineSpec

PRICES = {"usd_per_million_prompt_tokens": 0.5, "usd_per_million_completion_tokens": 1.5}


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        ("https://example.com/v1", {}),
        ("http://localhost:8000/v1", {}),
        ("http://127.0.0.1/v1", {}),
        ("http://[::1]:11434/v1", {}),
        ("http://10.0.0.5:8000/v1", {"allow_http": True}),
    ],
)
def test_addresses_that_are_taken(url: str, settings: dict[str, Any]) -> None:
    assert EndpointSpec(url=f"{url}/", **settings).url == url


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"url": "http://example.com/v1"}, "is not encrypted; use https"),
        ({"url": "HTTP://example.com/v1"}, "is not encrypted"),
        ({"url": "http://127.0.0.1.example.com/v1"}, "is not encrypted"),
        ({"url": "ftp://example.com/v1"}, "wanted an address"),
        ({"url": "example.com/v1"}, "wanted an address"),
        ({"url": "https://"}, "wanted an address"),
        ({"url": "https://example.com:x/v1"}, "wanted an address"),
        ({"url": "https://example.com/v1\n"}, "wanted an address"),
        ({"url": "https://me:hidden@example.com:x/v1"}, "a key belongs into the environment"),
        ({"url": "https://example.com/v1?key=hidden"}, "a key belongs into the environment"),
        ({"key_from": "sk-hidden-1"}, "wanted the name of an environment variable"),
        ({"usd_per_million_prompt_tokens": 1.0}, "wanted both"),
        ({"max_usd": 5.0}, "max_usd needs usd_per_million"),
        ({"concurrency": 0}, "greater than or equal to 1"),
        ({"requests_per_minute": 0}, "greater than 0"),
        ({"key": "hidden"}, "not permitted"),
    ],
)
def test_settings_that_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        EndpointSpec(**{"url": "https://example.com/v1", **settings})
    assert all("hidden" not in error["msg"] for error in caught.value.errors())


def test_a_baseline_names_its_endpoint_shortly_or_at_length() -> None:
    short = BaselineSpec.model_validate({"name": "big", "endpoint": "https://example.com/v1", "model": "m"})
    assert short.endpoint == EndpointSpec(url="https://example.com/v1") and (short.name, short.called) == ("zero-shot", "big")
    long = {"name": "few-shot", "called": "big few", "model": "m", "endpoint": {"url": "https://example.com/v1", "max_usd": 5, **PRICES}}
    found = BaselineSpec.model_validate(long).endpoint
    assert found is not None and found.max_usd == 5.0


@pytest.mark.parametrize(
    ("baseline", "message"),
    [
        ({"name": "big"}, "its 'model'"),
        ({"name": "few-shot", "model": "m"}, "a name of its own in 'called'"),
        ({"name": "../big", "model": "m"}, "a name of its own"),
        ({"name": "zero-shot", "called": "linear", "model": "m"}, "name of another candidate"),
        ({"name": "zero-shot", "called": "tuned-lora", "model": "m"}, "name of another candidate"),
    ],
)
def test_baselines_that_are_refused(baseline: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        BaselineSpec.model_validate({"endpoint": "https://example.com/v1", **baseline})


def test_a_model_behind_an_endpoint_may_have_to_be_beaten() -> None:
    baseline = {"name": "big", "endpoint": "https://example.com/v1", "model": "m"}
    whole = {"version": 1, "name": "x", "data": "a.csv", "task": "classify", "baselines": [baseline], "prove": {"against": ["big"]}}
    assert ProjectSpec.model_validate(whole).prove.against == ["big"]
