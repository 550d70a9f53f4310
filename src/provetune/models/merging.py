"""An adapter's change put into the weights: a model that needs no PEFT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
