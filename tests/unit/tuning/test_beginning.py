"""Going on from an earlier training: the same weights at step 0, and a refusal of all that would be no way from this base."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file, save_file

from provetune.errors import ModelError, SpecError
from provetune.hashing import folder_sha256
from provetune.models.transformers import load_model
from provetune.records.candidate import Method
from provetune.tuning import TuneRequest, tune
from provetune.tuning.beginning import begun
from tests.models import save_folder, tiny_llama

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
IDS = torch.arange(6, 40)[None]


@pytest.fixture(params=["lora", "full"])
def earlier(request: pytest.FixtureRequest, tune_request: TuneRequest, tmp_path: Path) -> TuneRequest:
    """A training that is done, its weights under `earlier`."""
    AcceleratorState._reset_state(reset_partial_state=True)
    made = replace(tune_request, method=request.param, out=tmp_path / "earlier", checkpoints=tmp_path / "checkpoints-earlier")
    tune(made)
    AcceleratorState._reset_state(reset_partial_state=True)
    return made


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(IDS).logits
    return found


def test_it_begins_with_the_earlier_weights_and_trains_on(earlier: TuneRequest, tmp_path: Path) -> None:
    full = earlier.method == "full"
    wanted = load_model(earlier.out) if full else load_model(earlier.base_folder, earlier.out)
    found = begun(earlier.method, earlier.base_folder, earlier.hyperparameters, earlier.out, {})
    assert torch.equal(logits(found), logits(wanted)), "what the earlier training ended with"
    assert not torch.equal(logits(found), logits(load_model(earlier.base_folder)))
    assert any(p.requires_grad for p in found.parameters())
    run = tune(replace(earlier, start=earlier.out, out=tmp_path / "later", checkpoints=tmp_path / "checkpoints-later"))
    assert run.start_sha256 == folder_sha256(earlier.out, [".safetensors"]) != run.weights_sha256


def test_another_kind_of_weights_is_refused(earlier: TuneRequest) -> None:
    other: Method = "lora" if earlier.method == "full" else "full"
    words = "holds no adapter, train.method is lora" if other == "lora" else "holds an adapter, train.method is full"
    with pytest.raises(SpecError, match=words):
        begun(other, earlier.base_folder, earlier.hyperparameters, earlier.out, {})


@pytest.fixture
def adapter(tune_request: TuneRequest) -> TuneRequest:
    tune(tune_request)
    return tune_request


def of_other_shape(made: TuneRequest) -> TuneRequest:
    return replace(made, hyperparameters={**made.hyperparameters, "r": 4})


def of_other_layers(made: TuneRequest) -> TuneRequest:
    return replace(made, hyperparameters={**made.hyperparameters, "targets": "k_proj"})


def of_other_scale(made: TuneRequest) -> TuneRequest:
    return replace(made, hyperparameters={**made.hyperparameters, "variants": "rslora"})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (of_other_shape, "train.lora.r is 4, there 2; set train.lora"),
        (of_other_layers, "it adapts other layers, or another base"),
        (of_other_scale, "train.lora.variants: rslora is True, there False"),
    ],
)
def test_an_adapter_of_other_settings_is_refused(adapter: TuneRequest, change: Callable[[TuneRequest], TuneRequest], words: str) -> None:
    changed = change(adapter)
    with pytest.raises(SpecError, match=words):
        begun("lora", changed.base_folder, changed.hyperparameters, adapter.out, {})


def test_an_adapter_that_was_trained_on_four_bits_goes_on_so(adapter: TuneRequest) -> None:
    (adapter.out / "quantization_config.json").write_text("{}")
    with pytest.raises(SpecError, match="was trained on four bits; set train.method to its own"):
        begun("lora", adapter.base_folder, adapter.hyperparameters, adapter.out, {})


def test_weights_that_are_no_numbers_are_refused(adapter: TuneRequest) -> None:
    file = adapter.out / "adapter_model.safetensors"
    save_file({name: torch.full_like(value, torch.nan) for name, value in load_file(file).items()}, file)
    with pytest.raises(ModelError, match="values that are no numbers"):
        begun("lora", adapter.base_folder, adapter.hyperparameters, adapter.out, {})


def test_whole_weights_of_another_base_are_refused(adapter: TuneRequest, tmp_path: Path) -> None:
    other = save_folder(tmp_path / "other", tiny_llama(num_hidden_layers=1))
    with pytest.raises(SpecError, match=r"is of another base: model\.layers\.1\.\S+ is None, wanted \("):
        begun("full", adapter.base_folder, adapter.hyperparameters, other, {})
