"""Base models in four bits, for QLoRA (Dettmers et al. 2023, arXiv 2305.14314): nf4 with double quantization, through bitsandbytes."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import torch
from transformers import BitsAndBytesConfig

from provetune.errors import ModelError

QUANTIZATION_FILE = "quantization_config.json"
"""Beside an adapter that was trained on a base in four bits; whoever loads the adapter loads the base so."""


def nf4() -> BitsAndBytesConfig:
    """How a base is loaded in four bits; ModelError where bitsandbytes is not installed."""
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise ModelError("bitsandbytes is not installed; QLoRA needs it. Run `pip install 'provetune[qlora]'`") from error
    logging.getLogger("transformers.integrations.bitsandbytes").setLevel(logging.ERROR)  # it warns of the dtype that was asked for
    compute = torch.bfloat16 if torch.cuda.is_available() else torch.float32
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=compute)


def same_numbers_everywhere(model: Any) -> Any:
    """The model, its layers held to one way of computing.

    On some processors bitsandbytes changes the weights' layout and rounds their scales each time a model goes from training to use and
    back: what is measured would then not be what was trained.

    What is not in four bits is copied out of the file that it was read from: as long as one tensor lies there, all of the file's pages,
    those of the layers in their full width, too, stay in the process's memory.
    """
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point():
            tensor.data = tensor.data.clone()
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model


def write_quantization(adapter: Path) -> None:
    """Say beside an adapter that its base is loaded in four bits."""
    shown = {key: value for key, value in nf4().to_dict().items() if key.startswith(("bnb_", "load_in_4bit"))}
    (adapter / QUANTIZATION_FILE).write_text(json.dumps({"quant_method": "bitsandbytes", **shown}, indent=2))


def is_quantized(adapter: Path | None) -> bool:
    """Whether the adapter was trained on a base in four bits."""
    return adapter is not None and (adapter / QUANTIZATION_FILE).is_file()
