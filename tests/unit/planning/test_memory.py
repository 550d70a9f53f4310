"""Memory: published counts and sizes, and the tensors that a real training keeps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from provetune.chat import TokenRow
from provetune.engine.forward import hidden_states
from provetune.engine.packing import Group
from provetune.errors import SpecError
from provetune.planning.calibration import fits
from provetune.planning.footprint import BYTES
from provetune.planning.memory import (
    BYTES_PER_TRAINED,
    activation_bytes,
    lora_parameters,
    pack_tokens,
    state_bytes,
)
from provetune.planning.request import ModelShape

LLAMA_2_7B = ModelShape(4096, 32, 32, 32, 128, 11008, 3, 32000, False)
LLAMA_3_8B = ModelShape(4096, 32, 32, 8, 128, 14336, 3, 128256, False)
SMALL = ModelShape(64, 3, 4, 2, 16, 176, 3, 512, True)


def test_lora_parameters_as_published_for_llama_2_7b() -> None:
    assert lora_parameters(LLAMA_2_7B, 8, "q_proj,v_proj") == 4_194_304
    # all linear layers at rank 16: 39,976,960, as PEFT prints for Llama-2-7B
    assert lora_parameters(LLAMA_2_7B, 16, "all-linear") == 39_976_960
    assert lora_parameters(LLAMA_2_7B, 16, "q_proj") * 4 == lora_parameters(LLAMA_2_7B, 64, "q_proj")


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(SpecError, match=r"train\.lora\.targets: found 'qproj', wanted all-linear or some of q_proj"):
        lora_parameters(LLAMA_2_7B, 8, "qproj, v_proj")


@pytest.mark.parametrize(("shape", "billions"), [(LLAMA_2_7B, 6.738), (LLAMA_3_8B, 8.030)])
def test_shape_counts_the_parameters_of_published_models(shape: ModelShape, billions: float) -> None:
    count = shape.linear_parameters + (1 if shape.tied else 2) * shape.head_parameters
    assert count / 1e9 == pytest.approx(billions, abs=0.001)


def test_bytes_per_parameter() -> None:
    assert BYTES["nf4"] == 0.5625
    assert BYTES["nf4-dq"] == pytest.approx(0.5159, abs=5e-5)
    assert 8 * (BYTES["nf4"] - BYTES["nf4-dq"]) == pytest.approx(0.373, abs=5e-4)  # bits saved, QLoRA paper
    assert BYTES_PER_TRAINED["bf16"] == 8
    # torchao measured 51.6 GB for pure bf16 AdamW on 6.74 B parameters
    assert 0.9 < 51.6e9 / (BYTES_PER_TRAINED["bf16"] * 6.74e9) < 1.1


def test_state_of_both_methods() -> None:
    assert state_bytes(1000, 1000, method="full", precision="fp32") == 16 * 1000 + 4 * 1000
    assert state_bytes(1000, 10, method="lora", precision="fp32") == 4 * 1000 + 20 * 10
    assert state_bytes(1000, 10, method="lora", precision="bf16") == 4 * 1000 + 20 * 10 + 2 * 1010
    in_four_bits = state_bytes(1000, 10, method="qlora", precision="fp32", quantized=800)
    assert in_four_bits == pytest.approx(4 * 200 + 800 * BYTES["nf4-dq"] + 20 * 10), "a folded weight is kept once"


def _kept_bytes(lengths: list[int], dtype: torch.dtype | None) -> int:
    """Slow twin: the different storages that autograd keeps for the backward pass, weights left out."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=512, hidden_size=64, intermediate_size=176, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2
    )
    model = LlamaForCausalLM(config)
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    rows = [TokenRow(np.arange(n, dtype=np.int64), np.ones(n, dtype=np.bool_)) for n in lengths]
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        of_tokens = sum(lengths) in tensor.shape or tensor.ndim == 4  # weights have neither
        if tensor.is_floating_point() and of_tokens and storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    autocast = torch.autocast("cpu", dtype=dtype or torch.bfloat16, enabled=dtype is not None)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), autocast:
        states = hidden_states(model, rows, (Group(0, tuple(range(len(rows)))),))
    assert states.shape[0] == sum(lengths)
    return sum(kept.values())


def test_activations_are_those_that_training_keeps() -> None:
    for tokens in (96, 250):
        expected = activation_bytes(SMALL, tokens, method="full", precision="fp32")
        assert expected == pytest.approx(_kept_bytes([tokens], None), rel=0.03)


def test_activations_under_bfloat16() -> None:
    assert activation_bytes(SMALL, 250, method="full", precision="bf16") == pytest.approx(_kept_bytes([250], torch.bfloat16), rel=0.06)


@pytest.mark.parametrize(("longest", "batch", "tokens"), [(10, 32, 320), (600, 32, 1624), (9000, 32, 10_024), (9000, 1, 9000), (5, 1, 5)])
def test_packs_are_bounded(longest: int, batch: int, tokens: int) -> None:
    assert pack_tokens(longest, batch) == tokens


def test_fits_is_judged_by_the_90th_percentile() -> None:
    assert [fits(10, 12, available) for available in (12, 11.9, 10, 9.9)] == ["fits", "tight", "tight", "does not fit"]
