"""Where a base model is looked for; nothing here reaches the network."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from provetune.errors import ModelError
from provetune.models.locate import STARTER, model_folder
from provetune.models.shapes import read_shape
from tests.models import save_folder, tiny_llama


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A socket fails the test; the hub's cache is empty."""

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def test_the_starter_is_in_the_package(tmp_path: Path) -> None:
    assert model_folder("starter", "main", tmp_path) == STARTER
    shape = read_shape(STARTER)
    assert shape["hidden"] == 256 and shape["vocabulary"] == 8192


def test_a_folder_by_path_or_from_the_project(tmp_path: Path) -> None:
    folder = save_folder(tmp_path / "models" / "tiny")
    assert model_folder(str(folder), "main", tmp_path / "elsewhere") == folder.resolve()
    assert model_folder("models/tiny", "main", tmp_path) == folder.resolve()


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"'empty' has no config\.json"):
        model_folder("empty", "main", tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.gguf"])
def test_weights_in_another_form_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "config.json").write_text("{}")
    (tmp_path / "old" / name).write_bytes(b"\x80")
    with pytest.raises(ModelError, match=rf"no \*\.safetensors .*found {Path(name).suffix}\); other forms are not loaded"):
        model_folder("old", "main", tmp_path)


@pytest.mark.parametrize("name", ["startr", "a/b/c", "./missing", "/missing", "~/missing"])
def test_a_name_that_can_be_nothing_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match="neither a folder here nor a hub id; wanted `starter`"):
        model_folder(name, "main", tmp_path)


@pytest.mark.parametrize("name", ["owner/name", "owner/bad name!"])
def test_a_hub_id_offline_is_a_model_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match="could not be fetched from the hub .*`base: starter` works offline"):
        model_folder(name, "main", tmp_path, offline=True)


def test_sizes_come_from_the_configuration(tmp_path: Path) -> None:
    tiny_llama().save_pretrained(tmp_path)
    sizes = {"hidden": 64, "layers": 2, "heads": 4, "kv_heads": 2, "head_dim": 16, "mlp": 128, "mlp_matrices": 3}
    assert read_shape(tmp_path) == {**sizes, "vocabulary": 262, "tied": True}


def test_another_kind_of_model_has_no_sizes(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "resnet"}))
    with pytest.raises(ModelError, match="no 'hidden_size'; wanted a decoder-only language model"):
        read_shape(tmp_path)
