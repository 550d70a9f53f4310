"""Browsing models: a stand-in for the hub's API on loopback, asked by the real client; and folders."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest

from provetune.errors import ModelError
from provetune.models.hub import browse_folder, browse_hub


def sizes(total: int) -> dict[str, Any]:
    """As the hub tells them."""
    return {"parameters": {"BF16": total}, "total": total}


MODELS: list[dict[str, Any]] = [
    {"id": "a/small", "downloads": 10, "cardData": {"license": "apache-2.0", "datasets": ["c4"]}, "safetensors": sizes(500_000_000)},
    {"id": "a/llama", "downloads": 99, "gated": "manual", "cardData": {"license": "llama3.1"}, "safetensors": sizes(8_000_000_000)},
    {"id": "b/mit", "downloads": 20, "cardData": {"license": "mit"}, "safetensors": sizes(3_800_000_000)},
]


class Hub(BaseHTTPRequestHandler):
    """Answers `/api/models` as the hub does: filters by licence tag and size."""

    asked: list[dict[str, list[str]]] = []

    def do_GET(self) -> None:
        where = urlparse(self.path)
        given = parse_qs(where.query)
        type(self).asked.append(given)
        licences = [tag.removeprefix("license:") for tag in given.get("filter", []) if tag.startswith("license:")]
        most = float(given.get("num_parameters", ["max:1000B"])[0].removeprefix("max:").removesuffix("B")) * 1e9
        found = [m for m in MODELS if m["safetensors"]["total"] <= most and (not licences or m["cardData"]["license"] in licences)]
        body = json.dumps([{"_id": "1", "modelId": m["id"], **m, "tags": []} for m in found]).encode()
        self.send_response(200 if where.path == "/api/models" else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    Hub.asked = []
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield Hub
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_hub_is_asked_for_licence_size_and_task(hub: type[Hub]) -> None:
    found = browse_hub("instruct", ["apache-2.0", "mit"], 4)
    assert [(one.name, one.licence, one.parameters, one.datasets) for one in found] == [
        ("b/mit", "mit", 3_800_000_000, None),
        ("a/small", "apache-2.0", 500_000_000, ("c4",)),
    ]
    assert len(hub.asked) == 2  # one question for each licence
    first = hub.asked[0]
    assert first["pipeline_tag"] == ["text-generation"] and first["search"] == ["instruct"] and first["num_parameters"] == ["max:4B"]
    assert {"safetensors", "license:apache-2.0"} <= set(first["filter"]) and first["sort"] == ["downloads"]


def test_without_a_wish_all_are_listed_and_gated_ones_marked(hub: type[Hub]) -> None:
    found = browse_hub("", None, None)
    assert [one.name for one in found] == ["a/llama", "b/mit", "a/small"] and found[0].gated and not found[1].gated


def test_no_network_is_a_model_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match="name a folder"):
        browse_hub("", None, None)


def test_folders_are_browsed_by_size_and_licence(tmp_path: Path, tiny_folder: Path) -> None:
    for name, card in (("mit", "---\nlicense: mit\n---\n"), ("none", "")):
        (tmp_path / "models" / name).mkdir(parents=True)
        for file in tiny_folder.iterdir():
            (tmp_path / "models" / name / file.name).write_bytes(file.read_bytes())
        (tmp_path / "models" / name / "README.md").write_text(card)
    assert [(Path(one.name).name, one.licence) for one in browse_folder(tmp_path, None, None)] == [("mit", "mit"), ("none", "unknown")]
    assert [Path(one.name).name for one in browse_folder(tmp_path, ["mit"], None)] == ["mit"]
    assert browse_folder(tmp_path, ["apache-2.0"], None) == [] == browse_folder(tmp_path, None, 1e-6)
    assert len(browse_folder(tmp_path, ["mit", "unknown"], 1.0)) == 2
