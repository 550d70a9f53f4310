"""Requests made up from the OpenAPI document (schemathesis), right ones and wrong ones: never a 500, and it answers afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provetune.serving.bridge import Bridge
from provetune.serving.openapi import document
from provetune.traffic import Salt, TrafficWriter
from tests.gateways import gateway_over, running, served_from


def test_the_document_names_every_route(tiny_folder: Path, tmp_path: Path) -> None:
    gateway = gateway_over(served_from(tiny_folder, "v1"))
    with running(gateway, Bridge(tmp_path, {})) as found, found.http() as client:
        told = client.get("/openapi.json").json()
        assert told == document(jobs=True) and len(told["paths"]) == 16
        for path, methods in told["paths"].items():
            for method in methods:
                reply = client.request(method, path.replace("{", "x").replace("}", "x"))
                assert reply.status_code not in (405, 500), (method, path, reply.text)
        assert client.get("/v1/nothing").status_code == 404 and client.put("/v1/models").status_code == 405


@pytest.mark.slow
@pytest.mark.parametrize("mode", [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE])
def test_no_made_up_request_ends_in_a_500(tiny_folder: Path, tmp_path: Path, mode: Any) -> None:
    log = TrafficWriter(tmp_path / "traffic.sqlite")
    gateway = gateway_over(served_from(tiny_folder, "v1"), log=log, salt=Salt(tmp_path / "salt"))
    with running(gateway, Bridge(tmp_path / "bridge", {})) as found:
        schema = schemathesis.openapi.from_url(f"{found.url}/openapi.json")
        operations: list[Any] = list(schema.get_all_operations())
        cases = st.one_of([operation.ok().as_strategy(generation_mode=mode) for operation in operations])

        @settings(max_examples=400, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=cases)
        def ask(case: Any) -> None:
            reply = case.call(base_url=found.url, timeout=60)
            assert reply.status_code < 500 or reply.status_code == 503, (case, reply.text)

        ask()
        with found.http() as client:
            assert client.get("/healthz").status_code == 200
    assert log.counters.dropped == 0
