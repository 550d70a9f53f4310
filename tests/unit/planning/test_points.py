"""Published measurements: what is read, what is left out and why, how far the estimate is from them."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest

from provetune.cli import main
from provetune.errors import DataError
from provetune.planning import calibration
from provetune.planning.calibration import calibrate, peak, shipped, stratum
from provetune.planning.footprint import Fitted
from provetune.planning.points import Point, read_points
from provetune.planning.validate import DEFAULT_STACK, validate
from provetune.records.planning import Scores

DATA = os.environ.get("PROVETUNE_TEST_DATA")
POINTS = Path(DATA or ".").parent / "reference" / "measured_points.csv"
published = pytest.mark.skipif(DATA is None or not POINTS.is_file(), reason="needs PROVETUNE_TEST_DATA with ../reference beside it")
LLAMA = {"id": "acme-1", "source_repo": "acme/tool", "model": "meta-llama/Llama-2-7b-hf", "method": "lora", "base_quant": "none"} | {
    "base_dtype": "bf16",
    "optimizer": "adamw",
    "lora_rank": "8",
    "lora_targets": "q,v",
    "adapter_dtype": "bf16",
    "micro_batch": "1",
    "seq_len": "1304",
    "grad_ckpt": "none",
    "loss_kernel": "chunked",
    "n_gpus": "1",
    "gpu_mem_gb": "40",
    "mem_reported": "21.3",
    "mem_unit": "GB",
    "mem_scope": "per_gpu",
    "mem_kind": "allocator_allocated",
}


def written(folder: Path, *changes: dict[str, str]) -> Path:
    file = folder / "points.csv"
    rows = [LLAMA | change for change in changes]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)
    return file


def test_a_row_becomes_a_job(tmp_path: Path) -> None:
    ((point,), left_out) = read_points(written(tmp_path, {}))
    assert not left_out and (point.source, point.counter, point.job.trained) == ("acme/tool", "allocated", 4_194_304)
    assert point.measured_gib == pytest.approx(21.3e9 / 2**30) and point.card_gib == pytest.approx(37.25, abs=0.01)
    assert stratum(point.job) == "1 GPU, no checkpointing, 16-bit base"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"quality": "C"}, "quality C"),
        ({"seq_len": ""}, "no length of its rows"),
        ({"micro_batch": ""}, "no micro-batch"),
        ({"model": "acme/own-7b"}, "the model 'acme/own-7b' is not known"),
        ({"model": "acme/own-7b", "config": "/nowhere"}, "cannot be read"),
        ({"method": "prefix"}, "the method 'prefix' is not estimated"),
        ({"base_quant": "hqq2"}, "the quantisation 'hqq2' is not estimated"),
        ({"mem_reported": "", "use": "time"}, "no memory was measured"),
        ({"params_b": "70"}, "is known with 6.74 billion parameters, the row says 70"),
        ({"mem_reported": "9.0"}, "impossible: 8.4 GiB were measured, the weights and what is trained alone take 12.6 GiB"),
        ({"mem_reported": "60"}, "impossible: 55.9 GiB were measured on a GPU of 40 GB"),
        ({"mem_reported": "OOM", "gpu_mem_gb": ""}, "it ran out of memory on a GPU whose memory is not given"),
        ({"n_gpus": "0"}, "must be at least 1"),
    ],
)
def test_what_cannot_be_scored_is_left_out_with_its_reason(tmp_path: Path, change: dict[str, str], reason: str) -> None:
    points, left_out = read_points(written(tmp_path, {}, change))
    assert len(points) == 1 and reason in left_out[0].reason


def test_full_tuning_below_the_optimizer_s_floor_is_impossible(tmp_path: Path) -> None:
    # LitGPT's table prints 16.5 GB for Llama 3.2 3B, whose weights, gradients and two 16-bit states take 26
    row = {"model": "meta-llama/Llama-3.2-3B", "method": "full", "mem_reported": "16.5", "params_b": ""}
    (), (left_out,) = read_points(written(tmp_path, row))
    assert left_out.reason.startswith("impossible")


@pytest.mark.parametrize(
    ("change", "sought"),
    [
        ({"mem_reported": "42.6", "mem_scope": "sum_all_gpus", "n_gpus": "2"}, 21.3e9 / 2**30),
        ({"mem_reported": "21.3", "mem_unit": "GiB"}, 21.3),
        ({"mem_reported": "21811", "mem_unit": "MiB"}, 21811 / 1024),
        ({"mem_reported": "", "mem_gib_per_gpu": "19.84"}, 19.84),
    ],
)
def test_units_and_sums(tmp_path: Path, change: dict[str, str], sought: float) -> None:
    ((point,), _) = read_points(written(tmp_path, change))
    assert point.measured_gib == pytest.approx(sought)


def test_a_file_with_three_columns_needs_no_more_to_be_read(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("id,model,method\n1,meta-llama/Llama-2-7b,lora\n")
    assert read_points(tmp_path / "points.csv")[1][0].reason == "no memory was measured"
    (tmp_path / "points.csv").write_text("id,model\n1,x\n")
    with pytest.raises(DataError, match=r"points.csv:1: columns method are missing"):
        read_points(tmp_path / "points.csv")
    (tmp_path / "points.csv").write_text("id,model,method\n")
    with pytest.raises(DataError, match="found no rows"):
        read_points(tmp_path / "points.csv")
    with pytest.raises(DataError, match="cannot be read"):
        read_points(tmp_path / "missing.csv")


def test_a_model_of_one_s_own_comes_with_its_config(tmp_path: Path) -> None:
    config = {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "intermediate_size": 11008, "vocab_size": 32000}
    (tmp_path / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": False}))
    ((point,), _) = read_points(written(tmp_path, {"model": "acme/own-7b", "config": str(tmp_path)}))
    assert point.job.shape.parameters == pytest.approx(6.738e9, rel=1e-3)


def test_an_unseen_kind_of_run_takes_the_widest_interval_and_says_so(tmp_path: Path) -> None:
    ((point,), _) = read_points(written(tmp_path, {}))
    seen = calibrate([point])
    assert not seen.strata  # one run does not speak for its kind
    found = peak(point.job, "allocated", seen)
    assert not found.known and "the widest of all" in found.memory_gib.method
    known = peak(point.job, "allocated", shipped())
    assert known.known and "28 published runs" in known.memory_gib.method


def test_the_constant_is_found_again(tmp_path: Path) -> None:
    points = read_points(written(tmp_path, {"base_quant": "nf4", "method": "qlora", "mem_reported": "14.14"}))[0]
    (point,) = points
    made = calibration.estimated_gib(point.job, "allocated", Fitted(1.4))
    found = calibrate([Point(point.id, point.source, point.job, "allocated", made, None)])
    assert found.fitted.four_bit == pytest.approx(1.4) and found.all_runs.p50 == pytest.approx(1.0)


def test_the_verb_scores_a_file_of_one_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fitted_to = {"source_repo": "QwenLM/Qwen"}  # the shipped constants are, so that nothing can be held out
    file = written(
        tmp_path,
        fitted_to,
        fitted_to | {"id": "acme-2", "mem_reported": "OOM", "gpu_mem_gb": "16"},
        fitted_to | {"id": "acme-3", "quality": "C"},
    )
    assert main(["plan", "--validate", str(file), "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "provetune.plan_validation/1" and found["leave_one_source_out"] == []
    whole = found["as_shipped"][0]
    assert (whole["rows"], whole["out_of_memory_rows"], whole["out_of_memory_right"]) == (1, 1, 1)
    assert found["left_out"] == [{"reason": "quality C", "ids": ["acme-3"]}] and whole["mean_absolute_error"] < 0.15
    assert main(["plan", "--validate", str(file)]) == 0
    assert "quality C (acme-3)" in capsys.readouterr().out


def _groups(scores: tuple[Scores, ...]) -> dict[str, Scores]:
    return {one.group: one for one in scores}


@published
def test_published_runs_left_out_source_by_source() -> None:
    found = validate(POINTS)
    groups = _groups(found.leave_one_source_out)
    whole, own = groups["all rows"], groups[DEFAULT_STACK]
    assert whole.rows == 152 and own.rows == 9 and found.rows == 190
    assert whole.mean_absolute_error is not None and whole.mean_absolute_error <= 0.20
    assert own.mean_absolute_error is not None and own.mean_absolute_error <= 0.12
    assert whole.inside_interval is not None and whole.inside_interval >= 0.90
    assert whole.median_high_over_low is not None and whole.median_high_over_low <= 2
    assert (whole.out_of_memory_rows, whole.out_of_memory_right) == (2, 2)
    assert sum(len(one.ids) for one in found.left_out) == 36
    assert {one.reason for one in found.left_out if len(one.ids) == 27} == {"no memory was measured"}


@published
def test_the_shipped_numbers_are_those_of_the_published_rows() -> None:
    assert calibrate(read_points(POINTS)[0]) == shipped()


def test_a_source_that_the_constants_were_not_fitted_to_is_held_out_as_it_is(tmp_path: Path) -> None:
    found = validate(written(tmp_path, {}))
    assert found.leave_one_source_out == found.as_shipped and found.as_shipped[0].rows == 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"method": "QLoRA", "base_quant": ""}, {"base": "nf4", "method": "qlora"}),
        ({"method": "lora", "base_quant": "bnb 4-bit"}, {"base": "nf4", "method": "qlora"}),
        ({"method": "DoRA"}, {"method": "lora"}),
        ({"base_quant": "int8"}, {"base": "int8"}),
        ({"optimizer": "Muon"}, {"states": 2.0}),
        ({"optimizer": "paged_adamw_8bit"}, {"states": 2.0, "paged": True}),
        ({"lora_rank": "", "lora_targets": ""}, {"trained": 16 * 2_498_560}),  # 32 layers of all linear ones
        ({"n_gpus": "4", "sharding": "DeepSpeed ZeRO-3 offload"}, {"sharding": "zero3", "offload": frozenset({"parameters", "optimizer"})}),
        ({"n_gpus": "4", "sharding": "zero2", "offload": "cpu"}, {"sharding": "zero2", "offload": frozenset({"optimizer"})}),
        ({"n_gpus": "8 GPUs", "sharding": "FSDP2 FULL_SHARD"}, {"sharding": "fsdp", "gpus": 8}),
        ({"seq_len": "2k (packed)", "micro_batch": "2"}, {"tokens": 4096, "longest": 2048}),
        ({"grad_ckpt": "True", "loss_kernel": "Liger"}, {"checkpointing": True, "loss": "fused"}),
    ],
)
def test_other_words_of_other_sources(tmp_path: Path, change: dict[str, str], expected: dict[str, object]) -> None:
    ((point,), left_out) = read_points(written(tmp_path, change | {"mem_reported": "30"}))
    assert not left_out and {name: getattr(point.job, name) for name in expected} == expected


def test_a_model_that_no_table_knows_is_guessed_from_its_size_with_a_wider_interval(tmp_path: Path) -> None:
    known, guessed = read_points(written(tmp_path, {}, {"model": "acme/unheard-of", "params_b": "6.74B"}))[0]
    assert guessed.guessed and not known.guessed and abs(guessed.job.shape.parameters / known.job.shape.parameters - 1) < 0.05
    close, wide = (peak(point.job, point.counter, shipped(), guessed=point.guessed).memory_gib for point in (known, guessed))
    assert wide.high is not None and wide.low is not None and close.high is not None and close.low is not None
    assert abs((wide.value or 0) / (close.value or 1) - 1) < 0.15 and wide.high / wide.low > 1.4 * close.high / close.low
    assert known.job.shape != guessed.job.shape and calibrate([known]) == calibrate([known, guessed])


def test_a_name_rounds_what_the_table_counts(tmp_path: Path) -> None:
    ((point,), _) = read_points(written(tmp_path, {"model": "google/gemma-2b", "params_b": "2"}))  # 2.51 with its embedding
    assert point.job.shape.parameters == pytest.approx(2.51e9, rel=0.01)


def test_out_of_memory_is_judged_by_what_the_card_would_show(tmp_path: Path) -> None:
    rows = [{"mem_reported": "CUDA out of memory", "gpu_mem_gb": "", "gpu": gpu} for gpu in ("RTX 4090", "A100", "unheard of")]
    ((point,), left_out) = read_points(written(tmp_path, *rows))
    assert point.card_gib == pytest.approx(22.35, abs=0.01) and point.counter == "device" and len(left_out) == 2


def test_hours_are_scored_where_a_speed_is_given(tmp_path: Path) -> None:
    row = {"gpu": "A100-SXM4-40GB", "gpu_mem_gb": "40"}
    speeds = [{"tokens_per_s_total": "4000"}, {"sec_per_optim_step": "2", "tokens_per_optim_step": "8000"}, {"tokens_per_s_total": "0"}]
    found = validate(written(tmp_path, *(row | {"id": f"acme-{k}"} | speed for k, speed in enumerate(speeds))))
    assert [one.measured_tokens_per_s for one in found.time_points] == [4000, 4000]
    assert found.time_left_out[0].ids == ("acme-2",) and found.time[0].group == "all rows" and found.time[0].rows == 2
    # 4 operations for each of 6.6 billion weights that multiply, half the 312 T operations a second of the data sheet, 0.11 s for 32 layers
    assert found.time_points[0].estimated_tokens_per_s == pytest.approx(1304 / (1304 * 4 * 6.6e9 / 156e12 + 32 * 0.0035), rel=0.05)


@published
def test_hours_of_published_runs() -> None:
    found = validate(POINTS).time[0]
    assert found.rows == 120 and found.within_factor_2 > 0.85 and found.inside_interval > 0.85
