"""Loading: the dtype of the base, of an adapter beside it, and what autocast makes of both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from provetune.models.transformers import load_model
from provetune.tuning.methods import lora
from tests.models import relative_error

# PEFT asks for an attribute that transformers has renamed
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

RECIPE: dict[str, float | int | str] = {"r": 4, "alpha": 8, "dropout": 0.0, "targets": "all-linear"}
IDS = torch.arange(6, 38)[None]


def dtypes(model: Any, *, adapter: bool) -> set[torch.dtype]:
    return {p.dtype for name, p in model.named_parameters() if ("lora_" in name) == adapter}


def adapted(folder: Path, dtype: torch.dtype | None) -> Any:
    """The model with an adapter that does something; the same adapter for every dtype."""
    model = lora(load_model(folder, dtype=dtype), RECIPE)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=draw) * 0.1)
    return model


def loss_and_gradient(model: Any, *, autocast: bool) -> tuple[float, torch.Tensor]:
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        loss = model(input_ids=IDS, labels=IDS).loss
    loss.backward()
    return float(loss.detach()), torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize(("dtype", "wanted"), [(None, torch.float32), (torch.bfloat16, torch.bfloat16)])
def test_the_base_has_the_dtype_and_its_adapter_float32(tiny_folder: Path, dtype: torch.dtype | None, wanted: torch.dtype) -> None:
    model = adapted(tiny_folder, dtype)
    assert dtypes(model, adapter=False) == {wanted} and dtypes(model, adapter=True) == {torch.float32}


def test_an_adapter_is_read_back_in_float32_beside_a_bfloat16_base(tiny_folder: Path, tmp_path: Path) -> None:
    written = adapted(tiny_folder, torch.bfloat16)
    written.save_pretrained(tmp_path, save_embedding_layers=False)
    again = load_model(tiny_folder, tmp_path, dtype=torch.bfloat16)
    assert dtypes(again, adapter=False) == {torch.bfloat16} and dtypes(again, adapter=True) == {torch.float32}
    with torch.no_grad():
        assert torch.equal(again(IDS).logits, written.eval()(IDS).logits)


def test_a_bfloat16_base_learns_what_a_float32_base_does(tiny_folder: Path) -> None:
    loss, gradient = loss_and_gradient(adapted(tiny_folder, None), autocast=False)
    found, slope = loss_and_gradient(adapted(tiny_folder, torch.bfloat16), autocast=True)
    assert slope.dtype == torch.float32
    assert abs(found - loss) / loss < 0.01 and relative_error(slope, gradient) < 0.05
