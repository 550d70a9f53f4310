"""Every method: what moves, what stays, what is read back, what is merged; each against its definition."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from provetune.engine.forward import pack_loss
from provetune.engine.packing import Group, PackSettings, pack_rows
from provetune.engine.padded import padded_loss
from provetune.errors import SpecError
from provetune.models.merging import merged_model
from provetune.models.quantized import QUANTIZATION_FILE
from provetune.models.transformers import load_model
from provetune.tuning import TuneRequest, tune
from provetune.tuning.methods import METHODS, Hyperparameters, layer_numbers, parameter_groups
from provetune.tuning.noise import noise_scale, noisy_embeddings
from tests.models import random_rows, tiny_llama

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

VALUES: Hyperparameters = {"learning_rate": 0.005, "epochs": 1, "batch_size": 4, "max_length": 128, "r": 2, "alpha": 4, "dropout": 0.0}
LORA: Hyperparameters = {**VALUES, "targets": "all-linear"}
IDS = torch.arange(6, 40)[None]


@pytest.fixture(autouse=True)
def settings_of_the_process() -> Iterator[None]:
    """Put back what a training sets for the whole process."""
    threads = torch.get_num_threads()
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    found: torch.Tensor = model(IDS).logits
    return found


def read_back(request: TuneRequest) -> Any:
    return load_model(request.base_folder, request.out)


class TestVariants:
    @pytest.mark.parametrize(
        "more", [{"variants": "dora"}, {"variants": "rslora"}, {"plus": 16.0}, {"layers": "1"}, {"optimizer": "adafactor"}]
    )
    def test_trains_and_is_read_back_as_it_was(self, tune_request: TuneRequest, more: Hyperparameters) -> None:
        request = replace(tune_request, hyperparameters={**LORA, **more})
        run = tune(request)
        model = read_back(request)
        assert run.hyperparameters.items() >= more.items() and not torch.allclose(logits(model), logits(load_model(request.base_folder)))
        assert torch.allclose(logits(merged_model(request.base_folder, request.out)), logits(model), atol=1e-4)

    def test_pissa_starts_from_the_base_and_ends_as_an_adapter_of_it(self, tune_request: TuneRequest) -> None:
        values: Hyperparameters = {**LORA, "variants": "pissa"}
        start = METHODS["lora"](load_model(tune_request.base_folder), values)
        assert torch.allclose(logits(start), logits(load_model(tune_request.base_folder)), atol=1e-4)
        factor = next(value for name, value in start.named_parameters() if "lora_A" in name)
        matrix = next(value for name, value in load_model(tune_request.base_folder).named_parameters() if "q_proj" in name)
        largest = torch.linalg.svdvals(matrix.detach())[:2]
        # A holds the right singular vectors times the root of the singular values over the scale, which is alpha / r = 2
        assert factor.detach().norm(dim=1) == pytest.approx((largest / 2).sqrt(), rel=1e-3)
        request = replace(tune_request, hyperparameters=values)
        tune(request)
        saved = json.loads((request.out / "adapter_config.json").read_text())
        assert saved["r"] == 4 and saved["init_lora_weights"] is True
        assert not torch.allclose(logits(read_back(request)), logits(load_model(request.base_folder)), atol=1e-4)

    def test_only_the_named_layers_get_adapters(self) -> None:
        model = METHODS["lora"](tiny_llama(), {**LORA, "layers": "1"})
        trained = {name for name, p in model.named_parameters() if p.requires_grad}
        assert trained and all(".layers.1." in name for name in trained)

    @pytest.mark.parametrize("text", ["2", "0-5"])
    def test_layers_the_base_lacks_are_named(self, text: str) -> None:
        with pytest.raises(SpecError, match=r"train.lora.layers: found .*wanted layers from 0 to 1"):
            layer_numbers(text, count=2)

    def test_rslora_scales_by_the_root_of_the_rank(self) -> None:
        for variants, wanted in (("", 4 / 2), ("rslora", 4 / math.sqrt(2))):
            model = METHODS["lora"](tiny_llama(), {**LORA, "variants": variants})
            scales = {module.scaling["default"] for module in model.modules() if hasattr(module, "lora_A")}
            assert list(scales) == [pytest.approx(wanted)]

    def test_lora_plus_puts_b_at_its_own_rate_and_vectors_never_decay(self) -> None:
        model = METHODS["lora"](tiny_llama(), {**LORA, "variants": "dora"})
        trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
        groups = parameter_groups(trainable, weight_decay=0.1, plus=16.0)
        found = {id(p): (group["weight_decay"], group["rate"]) for group in groups for p in group["params"]}
        assert len(found) == len(trainable)
        for name, p in trainable.items():
            decay = 0.0 if "magnitude" in name else 0.1
            assert found[id(p)] == (decay, 16.0 if ".lora_B." in name else 1.0)


class TestFourBits:
    def test_trains_saves_reads_back_and_merges(self, tune_request: TuneRequest) -> None:
        request = replace(tune_request, method="qlora", hyperparameters=LORA)
        run = tune(request)
        assert run.method == "qlora" and json.loads((request.out / QUANTIZATION_FILE).read_text())["bnb_4bit_quant_type"] == "nf4"
        assert all("lora_" in name for name in load_file(request.out / "adapter_model.safetensors"))
        model = read_back(request)
        layer = model.get_decoder().layers[0].self_attn.q_proj
        assert type(layer.base_layer).__name__ == "Linear4bit" and layer.base_layer.weight.quant_state.nested
        tuned = logits(model)
        assert not torch.allclose(tuned, logits(load_model(request.base_folder, quantized=True)), atol=1e-4)
        merged = merged_model(request.base_folder, request.out)
        assert torch.allclose(logits(merged), tuned, atol=1e-4) and type(merged.model.layers[0].self_attn.q_proj) is torch.nn.Linear
        merged.save_pretrained(request.out / "merged")
        assert torch.equal(logits(load_model(request.out / "merged")), logits(merged))

    def test_training_and_use_compute_the_same_and_leave_the_base_as_it_was(self, tune_request: TuneRequest) -> None:
        model = load_model(tune_request.base_folder, quantized=True)
        weights = {name: p.detach().clone() for name, p in model.named_parameters()}
        used = logits(model)
        model.train()
        assert torch.equal(model(IDS).logits, used)
        assert torch.equal(logits(model.eval()), used)
        assert all(torch.equal(p, weights[name]) for name, p in model.named_parameters())

    def test_a_weight_is_within_its_step_of_four_bits(self, tune_request: TuneRequest) -> None:
        from bitsandbytes.functional import dequantize_4bit

        exact = load_model(tune_request.base_folder).get_decoder().layers[0].mlp.up_proj.weight
        layer = load_model(tune_request.base_folder, quantized=True).get_decoder().layers[0].mlp.up_proj
        found = dequantize_4bit(layer.weight, layer.weight.quant_state)
        largest = exact.detach().reshape(-1, 64).abs().amax(dim=1, keepdim=True)
        # nf4's values are at most 0.304 apart (Dettmers et al. 2023, appendix E); double quantization adds little
        assert bool(((found.reshape(-1, 64) - exact.detach().reshape(-1, 64)).abs() <= 0.16 * largest + 1e-3).all())


class TestNoise:
    rows = random_rows([9, 14, 6])

    def test_scale_is_alpha_over_the_root_of_length_times_width(self) -> None:
        model = tiny_llama()
        packed = noise_scale(model, self.rows, (Group(2, (0, 1)), Group(0, (2,))), alpha=5.0, packed=True)
        lengths = torch.tensor([14.0] * 2 + [9.0] * 7 + [14.0] * 12 + [6.0] * 6)
        assert packed is not None and torch.allclose(packed[0], 5 / torch.sqrt(lengths * 64))
        padded = noise_scale(model, self.rows, (Group(0, (0, 1, 2)),), alpha=5.0, packed=False)
        assert padded is not None and torch.allclose(padded[:, 0], 5 / torch.sqrt(torch.tensor([9.0, 14.0, 6.0]) * 64))
        assert noise_scale(model, self.rows, (Group(0, (0,)),), alpha=0.0, packed=True) is None

    @pytest.mark.parametrize("packed", [True, False])
    def test_noise_is_bounded_fresh_and_only_where_gradients_are(self, packed: bool) -> None:
        model, loss = tiny_llama(), pack_loss if packed else padded_loss
        (pack,) = pack_rows(self.rows, range(3), PackSettings(4096, share=packed))
        scale = noise_scale(model, self.rows, pack, alpha=5.0, packed=packed)
        seen = []
        plain = loss(model, self.rows, pack, 1.0).item()
        assert scale is not None
        with noisy_embeddings(model, scale):
            inner = model.get_input_embeddings().register_forward_hook(lambda module, ids, out: seen.append((ids[0], out)))
            noisy = [loss(model, self.rows, pack, 1.0).item() for _ in range(2)]
            with torch.no_grad():
                assert loss(model, self.rows, pack, 1.0).item() == plain
            inner.remove()
        assert len({plain, *noisy}) == 3 and loss(model, self.rows, pack, 1.0).item() == plain
        ids, out = seen[0]
        added = (out - model.model.embed_tokens.weight[ids]).detach().abs()
        assert bool((added <= scale[..., None] + 1e-6).all()) and float(added.mean()) == pytest.approx(
            float(scale.expand(ids.shape).mean()) / 2, rel=0.1
        )
