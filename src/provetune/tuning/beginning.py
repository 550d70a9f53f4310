"""The model that a training begins with: the base, or what an earlier training made of it, with what the method trains."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from provetune.errors import ModelError, SpecError
from provetune.models.quantized import is_quantized
from provetune.models.transformers import load_model
from provetune.records.candidate import Method
from provetune.tuning.methods import METHODS, Hyperparameters
from provetune.tuning.pissa import SETTINGS, WEIGHTS


def begun(method: Method, base_folder: Path, values: Hyperparameters, start: Path | None, new_tokens: Mapping[int, str]) -> Any:
    """The model with its trainable parameters; `start` holds tuned weights of the same base and method.

    Raises SpecError where `start` is of another kind, or its matrices are not those of `values`.
    """
    full = method == "full"
    if start is not None and full != (not (start / SETTINGS).is_file()):
        raise SpecError(f"train.start: {start} holds {'an adapter' if full else 'no adapter'}, train.method is {method}; choose the other")
    if start is not None and full:
        _check_whole(start, base_folder)
    model = load_model(start if start is not None and full else base_folder, quantized=method == "qlora", new_tokens=new_tokens)
    model = METHODS[method](model, {**values, "new_token_ids": ",".join(map(str, new_tokens))})
    if start is not None and not full:
        _take_over(model, start, quantized=method == "qlora")
    return model


def _check_whole(start: Path, base_folder: Path) -> None:
    """Refuse weights of another architecture or vocabulary, which would be no way from this base."""
    shapes = [_shapes(folder) for folder in (start, base_folder)]
    if shapes[0] != shapes[1]:
        name = next(iter(dict(sorted(shapes[0].items() ^ shapes[1].items()))))
        found, wanted = (one.get(name) for one in shapes)
        raise SpecError(f"train.start: {start} is of another base: {name} is {found}, wanted {wanted}; name weights tuned from base.model")


def _shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as opened:
            found |= {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys() if name != "lm_head.weight"}  # noqa: SIM118
    return found


def _take_over(model: Any, start: Path, *, quantized: bool) -> None:
    """Put an earlier adapter's values in place of the fresh ones."""
    from peft import get_peft_model_state_dict, set_peft_model_state_dict

    settings, own = json.loads((start / SETTINGS).read_text(encoding="utf-8")), model.peft_config["default"].to_dict()
    if is_quantized(start) != quantized:
        raise SpecError(
            f"train.start: {start} was {'' if is_quantized(start) else 'not '}trained on four bits; set train.method to its own"
        )
    keys = {"r": "r", "lora_alpha": "alpha", "use_rslora": "variants: rslora", "use_dora": "variants: dora"}
    other = [f"train.lora.{said} is {own[key]}, there {settings[key]}" for key, said in keys.items() if settings[key] != own[key]]
    earlier, fresh = load_file(start / WEIGHTS), get_peft_model_state_dict(model, save_embedding_layers=False)
    shapes = [{name: value.shape for name, value in tensors.items()} for tensors in (earlier, fresh)]
    if other or shapes[0] != shapes[1]:
        words = ", ".join(other) or "it adapts other layers, or another base"
        raise SpecError(f"train.start: {start} cannot be gone on from: {words}; set train.lora and base.model as they were there")
    if not all(bool(value.isfinite().all()) for value in earlier.values()):
        raise ModelError(f"{start / WEIGHTS}: found values that are no numbers; go on from another training")
    with torch.no_grad():
        set_peft_model_state_dict(model, earlier)
