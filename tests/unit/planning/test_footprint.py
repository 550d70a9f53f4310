"""Peak memory from first principles: published figures, and what must hold whatever the job."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provetune.planning.architectures import known, known_shape
from provetune.planning.footprint import GIB, Fitted, Job, footprint, stored_bytes
from provetune.planning.memory import lora_parameters
from provetune.planning.request import ModelShape

LLAMA_2_7B = ModelShape(4096, 32, 32, 32, 128, 11008, 3, 32000, False)
LLAMA_3_8B = ModelShape(4096, 32, 32, 8, 128, 14336, 3, 128256, False)
JOB = Job(LLAMA_2_7B, "lora", 4_194_304, 2048, 2048)


def peak(job: Job) -> float:
    return footprint(job, Fitted()).peak


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("meta-llama/Llama-2-7b-hf", 6.738),
        ("meta-llama/Llama-3.1-8B-Instruct", 8.030),
        ("meta-llama/Llama-3.1-70B", 70.55),
        ("meta-llama/Llama-3.1-405B", 405.85),
        ("meta-llama/Llama-3.2-1B", 1.236),
        ("mistralai/Mistral-7B-Instruct-v0.3", 7.248),
        ("Qwen/Qwen2.5-0.5B-Instruct", 0.494),
        ("Qwen/Qwen3-8B", 8.19),
        ("google/gemma-2-9b-it", 9.24),
        ("TinyLlama/TinyLlama-1.1B-Chat-v1.0", 1.10),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", 0.1345),
    ],
)
def test_parameters_of_known_architectures_are_those_of_their_model_cards(name: str, billions: float) -> None:
    found = known_shape(name)
    assert found is not None and found[0].parameters / 1e9 == pytest.approx(billions, rel=0.01)


def test_the_table_holds_the_common_ones_and_no_name_twice() -> None:
    assert len(known()) >= 40 and known_shape("acme/unknown-7b") is None


def test_published_byte_counts() -> None:
    assert lora_parameters(LLAMA_2_7B, 8, "q_proj,v_proj") == 4_194_304
    whole = stored_bytes(LLAMA_2_7B, "bf16", 2.0)
    assert whole == pytest.approx(2 * 6.738e9, rel=1e-3)
    # four bits, blocks of 64 with a 32-bit maximum; double quantisation saves 0.37 bits a parameter
    saved = stored_bytes(LLAMA_2_7B, "nf4", 2.0) - stored_bytes(LLAMA_2_7B, "nf4-dq", 2.0)
    assert 8 * saved / LLAMA_2_7B.linear_parameters == pytest.approx(0.373, abs=0.001)
    # torchao: Llama 2 7B, pure bf16 AdamW, 51.6 GB measured, 12.3 less in 8 bits
    full = replace(JOB, method="full", trained=LLAMA_2_7B.parameters, tokens=1, longest=1, checkpointing=True)
    assert GIB * footprint(full, Fitted()).trained / 1e9 == pytest.approx(8 * 6.738, rel=0.01)
    saved_by_8_bits = footprint(full, Fitted()).trained - footprint(replace(full, states=2.0), Fitted()).trained
    assert GIB * saved_by_8_bits / 1e9 == pytest.approx(12.4, rel=0.1)


def test_casting_what_is_not_in_four_bits_costs_llama_3_two_gigabytes() -> None:
    assert (stored_bytes(LLAMA_3_8B, "nf4", 4.0) - stored_bytes(LLAMA_3_8B, "nf4", 2.0)) / 1e9 == pytest.approx(2.1, abs=0.05)


@pytest.mark.parametrize(
    ("less", "more"),
    [
        (JOB, replace(JOB, tokens=4096)),
        (replace(JOB, checkpointing=True), JOB),
        (replace(JOB, base="nf4-dq"), replace(JOB, base="nf4")),
        (replace(JOB, base="nf4"), JOB),
        (replace(JOB, loss="fused"), replace(JOB, loss="full", checkpointing=False)),
        (replace(JOB, loss="full"), replace(JOB, loss="full-fp32")),
        (JOB, replace(JOB, eager_attention=True)),
        (replace(JOB, compiled=True), JOB),
        (JOB, replace(JOB, adapter_inputs=9000.0)),
        (replace(JOB, checkpointing=True, offload=frozenset({"activations"})), replace(JOB, checkpointing=True)),
        (replace(JOB, gpus=4, sharding="fsdp"), replace(JOB, gpus=4, sharding="ddp")),
        (replace(JOB, gpus=4, sharding="fsdp"), replace(JOB, gpus=4, sharding="fsdp", unsharded_load=True, tokens=64, longest=64)),
        (JOB, replace(JOB, method="full", trained=LLAMA_2_7B.parameters)),
        (replace(JOB, method="full", trained=10**9, optimizer_in_backward=True), replace(JOB, method="full", trained=10**9)),
        (replace(JOB, method="full", trained=10**9, paged=True), replace(JOB, method="full", trained=10**9)),
    ],
)
def test_what_saves_memory_does(less: Job, more: Job) -> None:
    assert peak(less) < peak(more)


def test_sharding_divides_the_state() -> None:
    full = replace(JOB, method="full", trained=LLAMA_2_7B.parameters, checkpointing=True)
    one, eight = (footprint(replace(full, gpus=n, sharding="zero3" if n > 1 else "none"), Fitted()) for n in (1, 8))
    layers = 2 * 2 * LLAMA_2_7B.linear_parameters / LLAMA_2_7B.layers / GIB
    assert eight.trained == pytest.approx(one.trained / 8 + layers)
    zero2 = footprint(replace(full, gpus=8, sharding="zero2"), Fitted())
    assert GIB * zero2.trained == pytest.approx(LLAMA_2_7B.parameters * (2 + 6 / 8))


def test_the_peak_is_the_checkpoints_and_the_larger_of_one_layer_and_the_loss() -> None:
    job = replace(JOB, checkpointing=True, loss="full")
    found = footprint(job, Fitted())
    assert GIB * found.kept == 2 * 4096 * 32 * 2048
    assert GIB * found.working == 10 * 2048 * 32000 + 4 * 4096 * 2048
