"""An adapter's change put into the weights: a model that needs no PEFT."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from provetune.errors import ModelError
from provetune.models.quantized import is_quantized
from provetune.models.transformers import load_model, with_adapter


def merged_model(folder: Path, adapter: Path) -> Any:
    """The base model of `folder` with the adapter's change added to its weights, in the dtype of `load_model`.

    A base that was trained on in four bits is first given back its full width, with the values of its four bits: the adapter was
    fitted to these, and nothing is rounded a second time. Raises ModelError.
    """
    if not is_quantized(adapter):
        return load_model(folder, adapter).merge_and_unload()
    model = load_model(folder, quantized=True).dequantize()
    merged: Any = with_adapter(model, folder, adapter).merge_and_unload()
    return merged.eval()


def save_merged(folder: Path, adapter: Path, out: Path) -> None:
    """Write the merged model to `out` as safetensors, read it back and compare; ModelError where a tensor came back otherwise.

    The base has 16 or 32 bits while its weights are added to: nothing is ever merged into rounded ones.
    """
    model = merged_model(folder, adapter)
    model.save_pretrained(out, safe_serialization=True)
    held = {name: tensor for file in sorted(out.glob("*.safetensors")) for name, tensor in load_file(file).items()}
    state = model.state_dict()
    wrong = [name for name, tensor in held.items() if name not in state or not torch.equal(tensor, state[name].cpu())]
    if wrong or not held:
        raise ModelError(f"{out}: {wrong[0] if wrong else 'no tensor'} came back otherwise than it was written; try again")


def dtype_here(folder: Path) -> str:
    """In which dtype `load_model` computes with the model of `folder` on this machine, by name."""
    if not torch.cuda.is_available():
        return "float32"
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return str(config.get("dtype") or config.get("torch_dtype") or "float32")
