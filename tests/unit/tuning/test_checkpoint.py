"""Checkpoints: there whole or not at all, checked before they are believed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from provetune.errors import Notice
from provetune.tuning.checkpoint import CheckpointFolder

STATE = {"step": 3, "losses": [[1, 2.5, 0.1]]}


def tensors(value: float) -> dict[str, dict[str, torch.Tensor]]:
    return {"weights": {"a": torch.full((3, 2), value)}, "optimizer": {"0.step": torch.tensor(value)}}


@pytest.fixture
def folder(tmp_path: Path) -> CheckpointFolder:
    """Two checkpoints, of steps 1 and 2."""
    found = CheckpointFolder(tmp_path / "checkpoints")
    for step in (1, 2):
        found.save(step, {**STATE, "step": step}, tensors(float(step)))
    return found


def newest_step(folder: CheckpointFolder) -> int | None:
    found = folder.newest()
    return None if found is None else found.step


def test_what_was_saved_is_read_back(folder: CheckpointFolder) -> None:
    found = folder.newest()
    assert found is not None and found.step == 2 and found.state() == {**STATE, "step": 2}
    assert torch.equal(found.tensors("weights")["a"], torch.full((3, 2), 2.0))
    assert found.tensors("optimizer")["0.step"].item() == 2.0


def test_nothing_there_yet(tmp_path: Path) -> None:
    assert CheckpointFolder(tmp_path / "none").newest() is None


def test_the_newest_two_are_kept(folder: CheckpointFolder) -> None:
    folder.save(3, STATE, tensors(3.0))
    assert sorted(item.name for item in folder.path.iterdir()) == ["step-00000002", "step-00000003"]
    folder.save(3, STATE, tensors(4.0))  # the same step again replaces it
    found = folder.newest()
    assert found is not None and found.tensors("weights")["a"][0, 0] == 4.0 and len(list(folder.path.iterdir())) == 2


@pytest.mark.filterwarnings("ignore:the checkpoint:provetune.errors.Notice")
@pytest.mark.parametrize("file", ["weights.safetensors", "optimizer.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_damaged_checkpoint_is_passed_over(folder: CheckpointFolder, file: str, damage: str) -> None:
    path = folder.path / "step-00000002" / file
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:-3] if damage == "cut" else bytes([content[0] ^ 0xFF]) + content[1:])
    assert newest_step(folder) == 1


@pytest.mark.filterwarnings("ignore:the checkpoint:provetune.errors.Notice")
@pytest.mark.parametrize(
    "manifest", ["[]", "{}", '{"step": 2, "files": []}', '{"files": {}}', '{"step": 2, "files": {}}', '{"step": "x", "files": {}}']
)
def test_a_manifest_of_another_form_is_passed_over(folder: CheckpointFolder, manifest: str) -> None:
    (folder.path / "step-00000002" / "manifest.json").write_text(manifest)
    assert newest_step(folder) == 1


def test_every_file_stands_in_the_manifest(folder: CheckpointFolder) -> None:
    path = folder.path / "step-00000002"
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest["step"] == 2
    assert set(manifest["files"]) == {item.name for item in path.iterdir()} - {"manifest.json"}


def test_a_folder_that_was_being_built_is_not_one(folder: CheckpointFolder) -> None:
    whole = folder.path / "step-00000002"
    whole.rename(folder.path / ".partial-00000009")
    assert newest_step(folder) == 1
    folder.save(9, {**STATE, "step": 9}, tensors(9.0))
    assert newest_step(folder) == 9 and not list(folder.path.glob(".partial*"))


def test_all_damaged_is_none(folder: CheckpointFolder) -> None:
    for path in folder.path.glob("step-*"):
        (path / "state.json").write_text("{}")
    with pytest.warns(Notice, match="is damaged: it is passed over and kept as aside-step-0000000"):
        assert folder.newest() is None
    assert sorted(item.name for item in folder.path.iterdir()) == ["aside-step-00000001", "aside-step-00000002"]
    assert folder.newest() is None, "and nothing more is said"
