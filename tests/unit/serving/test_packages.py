"""What stands beside the weights: a bill of materials that keeps to the published schema, Ollama's template, sums, the hub."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jsonschema import Draft7Validator
from referencing import Registry as Schemas
from referencing import Resource

from provetune.errors import EvidenceError, SpecError
from provetune.models.locate import STARTER
from provetune.models.replay import allowed
from provetune.models.tokenizer import FolderTokenizer
from provetune.records.data import Message
from provetune.records.package import Package
from provetune.serving.packages.bom import bill_of_materials
from provetune.serving.packages.build import check_sums, write_sums
from provetune.serving.packages.commands import go_template, modelfile
from provetune.serving.packages.hub import push_package
from tests.unit.releases_by_hand import registered

PACKAGE = Package(
    release="tickets-v1",
    version=1,
    form="merged",
    folder="tickets-v1-merged",
    sha256="0" * 64,
    files=3,
    bytes=10,
    dtype="float32",
    stop_ids=(2,),
    golden_prompts=50,
    golden_equal=50,
    golden_kind="evaluated",
)


def test_the_bill_of_materials_keeps_to_the_published_schema(tmp_path: Path) -> None:
    release = registered(tmp_path)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "model.safetensors").write_bytes(b"weights")
    text = bill_of_materials(release, PACKAGE, tmp_path / "package")
    assert text == bill_of_materials(release, PACKAGE, tmp_path / "package"), "no clock and no chance in it"
    held = files("cyclonedx.schema") / "_res"
    named = {"spdx.schema.json": "spdx.SNAPSHOT", "jsf-0.82.schema.json": "jsf-0.82.SNAPSHOT"}
    schemas = {name: json.loads((held / f"{file}.schema.json").read_text(encoding="utf-8")) for name, file in named.items()}
    schema = json.loads((held / "bom-1.6.SNAPSHOT.schema.json").read_text(encoding="utf-8"))
    known: Any = Schemas()
    for name, one in schemas.items():
        made = Resource.from_contents(one)
        known = known.with_resources([(name, made), (f"http://cyclonedx.org/schema/{name}", made), (one["$id"], made)])
    faults = [error.message for error in Draft7Validator(schema, registry=known).iter_errors(json.loads(text))]
    assert faults == []
    names = {component["name"] for component in json.loads(text)["components"]}
    assert {"transformers", "torch", "safetensors"} <= names


def test_ollamas_template_is_read_off_the_starters() -> None:
    render = FolderTokenizer(STARTER).render
    template = go_template(render)
    assert template is not None and template.startswith("<|begin|>{{- range .Messages }}")
    assert template.endswith("{{- end }}{{- end }}<|assistant|>")
    assert '{{- else if eq .Role "user" }}<|user|>{{ .Content }}<|end|>' in template


def test_a_template_that_rewrites_turns_is_left_to_the_gguf_file(tmp_path: Path) -> None:
    def last_only(messages: Sequence[Message], opened: bool) -> str:
        return f"[{messages[-1].text}]"

    assert go_template(last_only) is None
    assert "TEMPLATE" not in modelfile(registered(tmp_path), PACKAGE, last_only)


def test_a_choice_ends_where_it_is_whole_and_may_be_the_beginning_of_another() -> None:
    import numpy as np

    following = allowed([[5], [5, 6], [7, 8]], [2, 3], 2)
    assert following(0, np.array([1, 1])) == [5, 7]
    assert following(0, np.array([1, 1, 5])) == [2, 3, 6]
    assert following(0, np.array([1, 1, 5, 6])) == [2, 3]


def test_a_changed_added_or_missing_file_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a", encoding="utf-8")
    assert write_sums(tmp_path)[0] == 2
    check_sums(tmp_path)
    (tmp_path / "b.txt").write_text("b", encoding="utf-8")
    with pytest.raises(EvidenceError, match="b.txt"):
        check_sums(tmp_path)
    (tmp_path / "b.txt").unlink()
    (tmp_path / "a.txt").write_text("c", encoding="utf-8")
    with pytest.raises(EvidenceError, match="a.txt"):
        check_sums(tmp_path)


class Hub:
    """A hub that remembers what it was given."""

    public: bool = False

    def __init__(self) -> None:
        self.made: list[tuple[str, bool]] = []

    def create_repo(self, name: str, *, private: bool, exist_ok: bool) -> None:
        self.made.append((name, private))

    def repo_info(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(private=not self.public)

    def upload_folder(self, *, repo_id: str, folder_path: Path, commit_message: str) -> SimpleNamespace:
        return SimpleNamespace(commit_url=f"hub://{repo_id}/{commit_message}")


def test_a_push_is_private_and_never_to_a_public_repository_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("a", encoding="utf-8")
    write_sums(tmp_path)
    hub = Hub()
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    assert push_package(PACKAGE, tmp_path, "me/tickets", public=False).pushed_to == "hub://me/tickets/tickets-v1, merged"
    assert hub.made == [("me/tickets", True)]
    hub.public = True
    with pytest.raises(SpecError, match="--public"):
        push_package(PACKAGE, tmp_path, "me/tickets", public=False)
    push_package(PACKAGE, tmp_path, "me/tickets", public=True)
