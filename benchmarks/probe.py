"""What a probe predicts beside what a whole training takes, on this machine: `python -m benchmarks.probe [JOB ...]`.

Four jobs of different shape, each planned, probed and then trained whole in a process of its own, as a run would. Prints one row of the
table of docs/probe.md per job: peak resident memory of the process, the same above the idle process (pages of files left out), and speed
in wall time and in processor time, which other work on the machine moves less. One to two minutes of one core a job.
"""

from __future__ import annotations

import csv
import json
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.search import banking77, snips
from benchmarks.work import BUILD, data_folder
from provetune.engine.packing import plan_epoch
from provetune.records.candidate import Plan
from provetune.records.probe import Probe, ProbeTaken
from provetune.records.tuning_search import TrialJob
from provetune.workflow import probe as probing
from provetune.workflow.prepare import prepare
from provetune.workflow.project import begin_run, open_project

PLACE = BUILD / "probe"
LLAMA_30M = {"hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 8, "num_attention_heads": 8, "num_key_value_heads": 8}


def _pairs(rows: list[tuple[str, str]], count: int) -> list[tuple[str, str]]:
    found = sorted(set(rows))
    random.Random(0).shuffle(found)
    return found[:count]


def shared_prefix() -> tuple[list[tuple[str, str]], str]:
    """Short rows that begin with the same long instruction, LoRA."""
    rows = _pairs(banking77(data_folder()), 420)
    system = "Name the intent of the message. One of: " + "; ".join(sorted({label for _, label in rows})) * 3
    return rows, f"base: starter\ntask: {{type: classify, system: {json.dumps(system)}}}\ntrain: {{method: lora, epochs: 3}}\n"


def full_tuning() -> tuple[list[tuple[str, str]], str]:
    """Short rows without an instruction, all weights."""
    return _pairs(snips(data_folder()), 600), "base: starter\ntask: classify\ntrain: {method: full, epochs: 3}\n"


def long_rows() -> tuple[list[tuple[str, str]], str]:
    """Legal paragraphs of up to 1,024 tokens, LoRA."""
    rows = []
    for name in ("tldrlegal_v1", "tosdr_annotated_v1"):
        found = json.loads((data_folder() / "legal_summarization" / f"{name}.json").read_text(encoding="utf-8"))
        rows += [(one["original_text"], one["reference_summary"]) for one in found.values()]
    # the audit blocks a project with rows that the starter cannot read
    readable = [(text, short) for text, short in rows if len(text) + len(short) < 4_500]
    return _pairs(
        readable, 150
    ), "base: starter\ntask: {type: generate, max_new_tokens: 24}\ntrain: {method: lora, epochs: 1, batch_size: 8}\n"


def larger_model() -> tuple[list[tuple[str, str]], str]:
    """A Llama of 30 million random weights, LoRA."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    from provetune.models.locate import STARTER

    folder = PLACE / "llama-30m"
    if not folder.is_dir():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(STARTER, **LLAMA_30M, head_dim=64))
        model.to(torch.bfloat16).save_pretrained(folder)
        PreTrainedTokenizerFast.from_pretrained(STARTER).save_pretrained(folder)
    rows = _pairs(banking77(data_folder()), 240)
    return rows, f"base: {folder.resolve()}\ntask: classify\ntrain: {{method: lora, epochs: 2}}\n"


JOBS: dict[str, Callable[[], tuple[list[tuple[str, str]], str]]] = {
    "starter, LoRA, shared instruction": shared_prefix,
    "starter, full": full_tuning,
    "starter, LoRA, long rows": long_rows,
    "30M Llama, LoRA": larger_model,
}


def measured(number: int) -> str:
    """The row of the table of one job."""
    name, make = list(JOBS.items())[number]
    folder = PLACE / f"job-{number}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows, settings = make()
    with (folder / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    (folder / "provetune.yaml").write_text(
        "version: 1\nname: probe\ndata: {path: rows.csv, columns: {prompt: text, target: label}}\nprove: {retention: []}\n" + settings
    )
    plan, (probe,) = probing.probed_plan(open_project(folder, (), lambda *_: None))
    taken, tokens = whole_training(folder, plan, probe)
    return row(name, (plan, probe), (taken, tokens))


def whole_training(folder: Path, plan: Plan, probe: Probe) -> tuple[ProbeTaken, list[int]]:
    """The training that was planned, in a process of its own; what it took, and the tokens of each optimizer step."""
    project = open_project(folder, (), lambda *_: None)
    begin_run(project)
    prepared = prepare(project)
    values = plan.hyperparameters[probe.method]
    seed = project.spec.train.seeds[0]
    job = TrialJob(
        project=str(folder.resolve()),
        run=project.store.current.name,
        method=probe.method,
        values=values,
        seed=seed,
        settings=prepared.settings,
        train_ids=tuple(e.id for e in prepared.train),
        validation_ids=tuple(e.id for e in prepared.validation),
    )
    taken = probing.in_a_process(job, folder / "whole")
    lengths = [n for n in probing.row_lengths(project, prepared.train) if n <= int(values["max_length"])]
    steps = [step for e in range(int(values["epochs"])) for step in plan_epoch(len(lengths), int(values["batch_size"]), seed, e)]
    return taken, [sum(lengths[number] for number in step) for step in steps]


def row(name: str, predicted: tuple[Plan, Probe], found: tuple[ProbeTaken, list[int]]) -> str:
    """Predicted, measured and their ratio: memory, memory above idle, wall and processor seconds of all steps."""
    (plan, probe), (taken, tokens) = predicted, found
    per_epoch = -(-len(tokens) // int(plan.hyperparameters[probe.method]["epochs"]))
    gaps = [(b[0] - a[0], b[1] - a[1], tokens[k]) for k, (a, b) in enumerate(zip(taken.marks, taken.marks[1:], strict=False), start=1)]
    alone = [gap for k, gap in enumerate(gaps, start=2) if k % per_epoch]  # a step that ends an epoch also looks at validation
    wall, cpu = (sum(tokens) * sum(gap[place] for gap in alone) / sum(gap[2] for gap in alone) for place in (0, 1))
    above = (
        (probe.anonymous_peak_gib or 0) - (probe.anonymous_idle_gib or 0),
        (taken.anonymous_peak_gib or 0) - (taken.anonymous_idle_gib or 0),
    )
    pairs = [
        (probe.peak_gib, taken.peak_gib, "{:.2f}"),
        (1024 * above[0], 1024 * above[1], "{:.0f}"),
        (sum(tokens) / probe.tokens_per_s, wall, "{:.0f}"),
        (sum(tokens) / probe.tokens_per_cpu_s, cpu, "{:.0f}"),
    ]
    cells = [f"{form.format(a)} / {form.format(b)} ({100 * (a / b - 1):+.0f} %)" for a, b, form in pairs]
    return (
        f"| {name} | {len(tokens)} | {sum(tokens):,} | " + " | ".join(cells) + f" | {probe.wall_seconds:.0f} / {taken.wall_seconds:.0f} |"
    )


if __name__ == "__main__":
    for place in [int(one) for one in sys.argv[1:]] or range(len(JOBS)):
        print(measured(place), flush=True)
