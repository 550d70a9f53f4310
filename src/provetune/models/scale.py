"""How much of a tuning is kept: weights on the line from the base to the tuned model, without training."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from provetune.errors import ModelError

Tensor = torch.Tensor
Change = Callable[[str, Tensor], Tensor]


def write_scaled(base_folder: Path, tuned: Path, factor: float, out: Path) -> None:
    """Write to `out` what `tuned` holds, with `factor` of the way from the base: 0 is the base, 1 the tuned model.

    Of a LoRA adapter the product BA is multiplied; full weights are interpolated in float32 and kept in their dtype (WiSE-FT, Wortsman et
    al. 2022, arXiv 2109.01903). The folder appears whole or not at all. Raises ModelError where an adapter has more than a product
    (DoRA's magnitudes, saved layers), or where full weights are not those of the base.
    """
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(tuned, partial)
    change = _product(factor) if (tuned / "adapter_config.json").is_file() else _between(base_folder, factor)
    for file in sorted(partial.glob("*.safetensors")):
        with safe_open(file, "pt") as opened:
            names = list(opened.keys())
            tensors = {name: change(name, opened.get_tensor(name)) for name in names}
            metadata = opened.metadata()
        save_file(tensors, file, metadata)
    shutil.rmtree(out, ignore_errors=True)
    partial.rename(out)


def _product(factor: float) -> Change:
    def change(name: str, value: Tensor) -> Tensor:
        if ".lora_A." not in name and ".lora_B." not in name:
            raise ModelError(
                f"{name} is no part of a low-rank product, so this adapter cannot be scaled; set train.forgetting to none or kl"
            )
        return value * factor if ".lora_B." in name else value

    return change


def _between(base_folder: Path, factor: float) -> Change:
    places: dict[str, Path] = {}
    for file in base_folder.glob("*.safetensors"):
        with safe_open(file, "pt") as opened:
            places |= dict.fromkeys(opened.keys(), file)

    def change(name: str, value: Tensor) -> Tensor:
        if name not in places:
            raise ModelError(f"{base_folder} has no weights {name}, so the tuned ones cannot be brought nearer to them")
        with safe_open(places[name], "pt") as opened:
            base = opened.get_tensor(name).float()
        if base.shape != value.shape:
            raise ModelError(f"{name} is {list(value.shape)}, in {base_folder} {list(base.shape)}; the vocabulary has changed in tuning")
        return torch.lerp(base, value.float(), factor).to(value.dtype).contiguous()

    return change
