"""Weights between a base and what was tuned from it: the ends are the two models, an adapter's product is multiplied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from provetune.errors import ModelError
from provetune.hashing import folder_sha256
from provetune.models.scale import write_scaled
from provetune.models.transformers import load_model
from provetune.tuning.methods import lora

# PEFT asks for an attribute that transformers has renamed
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
IDS = torch.arange(5, 35)[None]


def disturbed(model: Any, only: str = "") -> Any:
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if only in name:
                parameter.add_(torch.randn(parameter.shape, generator=draw) * 0.1)
    return model


@pytest.fixture
def adapter(tiny_folder: Path, tmp_path: Path) -> Path:
    model = lora(load_model(tiny_folder), {"r": 4, "alpha": 8, "dropout": 0.0, "targets": "all-linear"})
    disturbed(model, "lora_").save_pretrained(tmp_path / "adapter", save_embedding_layers=False)
    return tmp_path / "adapter"


@pytest.fixture
def full(tiny_folder: Path, tmp_path: Path) -> Path:
    disturbed(load_model(tiny_folder)).save_pretrained(tmp_path / "full")
    return tmp_path / "full"


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(IDS).logits
    return found


def test_an_adapter_at_each_end_and_between(tiny_folder: Path, tmp_path: Path, adapter: Path) -> None:
    base, tuned = load_model(tiny_folder), load_model(tiny_folder, adapter)
    merged, before = tuned.merge_and_unload().state_dict(), base.state_dict()
    for factor in (0.0, 0.35, 1.0):
        write_scaled(tiny_folder, adapter, factor, tmp_path / "out")
        found = load_model(tiny_folder, tmp_path / "out")
        twin = load_model(tiny_folder)
        twin.load_state_dict({name: torch.lerp(before[name], merged[name], factor) for name in before})
        assert torch.allclose(logits(found), logits(twin), atol=1e-5)
        assert not torch.allclose(logits(found), logits(base), atol=1e-3) or factor == 0


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0])
def test_full_weights_are_interpolated(tiny_folder: Path, tmp_path: Path, full: Path, factor: float) -> None:
    write_scaled(tiny_folder, full, factor, tmp_path / "out")
    base, tuned, found = (load_model(folder).state_dict() for folder in (tiny_folder, full, tmp_path / "out"))
    assert found.keys() == base.keys()
    for name, value in found.items():
        assert torch.allclose(value, (1 - factor) * base[name] + factor * tuned[name], atol=1e-6)


def test_the_same_weights_each_time_and_all_other_files(tiny_folder: Path, tmp_path: Path, adapter: Path) -> None:
    (adapter / "tokenizer.json").write_text("{}", encoding="utf-8")
    for name in ("a", "b"):
        write_scaled(tiny_folder, adapter, 0.5, tmp_path / name)
    assert folder_sha256(tmp_path / "a", [".safetensors"]) == folder_sha256(tmp_path / "b", [".safetensors"])
    assert folder_sha256(tmp_path / "a", [".safetensors"]) != folder_sha256(adapter, [".safetensors"])
    assert {file.name for file in (tmp_path / "a").iterdir()} == {file.name for file in adapter.iterdir()}
    assert json.loads((tmp_path / "a" / "adapter_config.json").read_text()) == json.loads((adapter / "adapter_config.json").read_text())


def test_what_cannot_be_scaled_is_refused_and_leaves_nothing(tiny_folder: Path, tmp_path: Path, adapter: Path, full: Path) -> None:
    file = adapter / "adapter_model.safetensors"
    save_file({**load_file(file), "base_model.model.layer.lora_magnitude_vector": torch.ones(3)}, file)
    with pytest.raises(ModelError, match="lora_magnitude_vector is no part of a low-rank product"):
        write_scaled(tiny_folder, adapter, 0.5, tmp_path / "out")
    file = full / "model.safetensors"
    tensors = load_file(file)
    name = next(iter(tensors))
    save_file({**tensors, name: torch.zeros(3, 3)}, file, {"format": "pt"})
    with pytest.raises(ModelError, match="vocabulary has changed"):
        write_scaled(tiny_folder, full, 0.5, tmp_path / "out")
    save_file({**tensors, "another.weight": torch.zeros(3)}, file, {"format": "pt"})
    with pytest.raises(ModelError, match=r"has no weights another\.weight"):
        write_scaled(tiny_folder, full, 0.5, tmp_path / "out")
    assert not (tmp_path / "out").exists()
