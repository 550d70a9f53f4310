"""One measured run in a process of its own: `python -m benchmarks.worker JOB`, JSON in, one line of JSON out."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import platform
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import Memory, Stopwatch, matrix_peak, model_shape, plain_loss, useful_flops

WARM_UP_PROMPTS, WARM_UP_CHOICES = 4, 2
PACKAGES = ("provetune", "torch", "transformers", "peft", "accelerate", "trl", "lm-eval", "litgpt", "vllm")


def train(job: dict[str, Any], work: dict[str, Any]) -> dict[str, Any]:
    """One epoch over the rows; the first optimizer step is warm-up."""
    module = {"ours": "ours", "litgpt": "litgpt_training"}.get(job["system"], "training")
    system: Any = importlib.import_module(f"benchmarks.{module}")
    rows, folder, rank = work["rows"], Path(job["model_folder"]), job["rank"]
    model = system.load_trainable(folder, job["method"], rank)
    watch = Stopwatch(model.get_decoder() if hasattr(model, "get_decoder") else model)
    memory = Memory()
    found = system.train(model, rows, job, watch)
    peak, seconds = memory.peak(), watch.seconds()
    tokens, labelled = map(sum, zip(*found["trained"][1:], strict=True))
    lengths = [len(row["input_ids"]) for row in rows]
    wanted = sum(label != -100 for row in rows for label in row["labels"][1:])
    shape = model_shape(folder)
    model.eval()
    return {
        **seconds,
        **peak,
        "tokens": tokens,
        "labelled": labelled,
        "steps": len(found["trained"]),
        "apart": found["apart"],
        "all_rows": tuple(map(sum, zip(*found["trained"], strict=True))) == (sum(lengths), wanted),
        "flops": useful_flops(shape, rank, lengths, wanted) * tokens / sum(lengths),
        "matrix_flops_run": useful_flops(shape | {"width": 0}, rank, [seconds["read_tokens"]], labelled),
        "loss": plain_loss(lambda ids: system.logits(model, ids), rows, next(model.parameters()).device),
    }


def score(job: dict[str, Any], work: dict[str, Any]) -> dict[str, Any]:
    """Completions of all prompts, or nats of every choice after every prompt; a few of them before, as warm-up."""
    if job["system"] == "vllm" and not torch.cuda.is_available():
        return {"not_measured": "no GPU"}
    system: Any = importlib.import_module("benchmarks.ours" if job["system"].startswith("ours") else "benchmarks.scoring")
    model, rows, run = system.load(job), work["rows"], system.SCORED_BY[job["system"]]
    memory = Memory()
    few = work["choices"][:WARM_UP_CHOICES] if job["kind"] == "nats" else work["choices"]
    run(model, rows[:WARM_UP_PROMPTS], job, work | {"choices": few})
    watch = Stopwatch()
    watch.tick()
    found = run(model, rows, job, work)
    watch.tick()
    return {**watch.seconds(), **memory.peak(), "examples": len(rows), "found": found}


def versions() -> dict[str, str]:
    """Versions of what is installed beside this process."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def main() -> None:
    """Run the job given as JSON in the first argument; the last line of output is the outcome."""
    job = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    if job["kind"] == "peak":
        outcome: dict[str, Any] = {"peak": matrix_peak()}
    else:
        work = json.loads(Path(job["work_file"]).read_text())
        outcome = (train if job["kind"] == "train" else score)(job, work)
    print(json.dumps({**job, **outcome, "versions": versions(), "gpu": torch.cuda.is_available()}), flush=True)


if __name__ == "__main__":
    main()
