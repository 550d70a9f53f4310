"""The driver: one process per (system, work, model, repeat), repeats interleaved, one core each; raw lines and one table out."""

from __future__ import annotations

import argparse
import datetime
import fnmatch
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.table import hardware, table
from benchmarks.work import BUILD, model_folder, prepare

LITGPT_PYTHON = Path("build/bench-venv-litgpt/bin/python")
TRAINED = ("ours", "trl-default", "trl-padded", "trl-packed", "hf-padded", "hf-flattening", "litgpt")
COMPLETED = ("ours", "hf-generate", "hf-prefix-cache", "lm-eval", "vllm")
ROWS = {"banking77": 96, "legal": 96, "snips": 512, "e2e": 512}
LEARNING_RATE = {"lora": 2e-3, "full": 5e-4}
RANK = 16


@dataclass(frozen=True)
class Group:
    """Systems on the same work, compared with each other; `rows_per_step` are those of an optimizer step."""

    kind: str
    work: str
    model: str
    systems: tuple[str, ...]
    rows: int
    rows_per_step: int = 0
    method: str = ""
    precision: str = "fp32"

    @property
    def name(self) -> str:
        """What `--only` matches, without the system."""
        return "/".join(part for part in (self.kind, self.work, self.model, self.method, self.precision) if part)


def groups() -> Iterator[Group]:
    """Everything that is measured, in the order of the table."""
    starter = itertools.product(ROWS, ["starter"], (("lora", "fp32"), ("lora", "bf16"), ("full", "fp32"), ("full", "bf16")))
    larger = itertools.product(("banking77", "legal"), ["llama-135m"], (("lora", "fp32"), ("lora", "bf16"), ("full", "fp32")))
    for work, model, (method, precision) in (*starter, *larger):
        # LitGPT's full tuning unties the embedding from the head: another model, not compared
        systems = TRAINED if method == "lora" else TRAINED[:-1]
        rows, step = (ROWS[work], 16) if model == "starter" else (24, 8)
        yield Group("train", work, model, systems, rows, step, method, precision)
    for work in ("banking77", "banking77-few", "e2e"):
        yield Group("complete", work, "starter", COMPLETED, 64)
    for work in ("banking77", "banking77-few"):
        yield Group("choices", work, "starter", COMPLETED[:3], 64)
        yield Group("nats", work, "starter", ("ours-nats", "lm-eval-nats"), 4)


def resized(group: Group, rows: int | None, quick: bool) -> Group:
    """The group with other numbers of rows."""
    wanted = rows or ({"train": 8, "nats": 1}.get(group.kind, 4) if quick else group.rows)
    return replace(group, rows=wanted, rows_per_step=min(4 if quick else group.rows_per_step, max(1, wanted // 2)))


def settings(group: Group, system: str) -> dict[str, Any]:
    """Sizes of one system on one work: the fastest that were found for the rivals on the starter."""
    long_rows = group.work not in ("snips", "e2e")
    return {
        "learning_rate": LEARNING_RATE.get(group.method),
        "rank": RANK if group.method == "lora" else 0,
        "micro_batch": 1 if long_rows else min(4, group.rows_per_step),
        "batch": {"hf-generate": 1, "hf-prefix-cache": 2}.get(system, 4) if long_rows else 32,
    }


def jobs(group: Group, repeat: int, only: list[str]) -> list[dict[str, Any]]:
    """The systems of a group that were asked for, each repeat beginning with another one."""
    first = repeat % len(group.systems)
    turned = [*group.systems[first:], *group.systems[:first]]
    chosen = [system for system in turned if not only or any(fnmatch.fnmatch(f"{group.name}/{system}", f"*{word}*") for word in only)]
    if not chosen:
        return []
    folder = model_folder(group.model)
    work = prepare(group.work, folder, group.rows)
    shared = {
        **work,
        "group": group.name,
        "kind": group.kind,
        "method": group.method,
        "precision": group.precision,
        "rows_per_step": group.rows_per_step,
        "model_folder": str(folder),
        "repeat": repeat,
    }
    return [{**shared, "system": system, **settings(group, system)} for system in chosen]


def alone(command: list[str], core: int, limit_s: float | None) -> subprocess.CompletedProcess[str]:
    """Run a command on one core with one thread (on a GPU: as it likes), without network, with its caches in the build folder."""
    pinned = [] if torch.cuda.is_available() or not shutil.which("taskset") else ["taskset", "-c", str(core)]
    quiet = {"TOKENIZERS_PARALLELISM": "false", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_OFFLINE": "1", "HF_HOME": str(BUILD / "hf")}
    one = {f"{pool}_NUM_THREADS": "1" for pool in ("OMP", "MKL", "OPENBLAS")}
    environment = {**os.environ, **quiet, **one}
    return subprocess.run([*pinned, *command], capture_output=True, text=True, timeout=limit_s, env=environment, check=False)


def measure(job: dict[str, Any], core: int, limit_s: float) -> dict[str, Any]:
    """The worker's line; with `failed` and the reason where it gave none."""
    python = str(LITGPT_PYTHON) if job["system"] == "litgpt" else sys.executable
    if not Path(python).exists():
        return {**job, "failed": f"{python} is missing, its requirements could not be installed"}
    try:
        done = alone([python, "-m", "benchmarks.worker", json.dumps(job)], core, limit_s)
    except subprocess.TimeoutExpired:
        return {**job, "failed": f"not done after {limit_s:.0f} s"}
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        said = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
        return {**job, "failed": said[-1][:200], "stderr": said[-20:]}
    outcome: dict[str, Any] = json.loads(lines[-1])
    return outcome


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="WORD", help="runs whose name holds WORD (* allowed); repeatable")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rows", type=int, help="rows of every work, instead of its own number")
    parser.add_argument("--quick", action="store_true", help="a few rows, 1 repeat: does everything run?")
    parser.add_argument("--core", type=int, default=(os.cpu_count() or 1) - 1, help="the processor core that all runs are pinned to")
    parser.add_argument("--limit", type=float, default=1800, metavar="SECONDS", help="longest time of one run")
    parser.add_argument("--list", action="store_true", help="print the names of all runs")
    parser.add_argument("--table", type=Path, nargs="+", metavar="JSONL", help="print the table of earlier runs, measure nothing")
    return parser.parse_args()


def main() -> None:
    """Measure what was asked for, print the table, leave raw lines and table in build/bench."""
    given = arguments()
    if given.list:
        print("\n".join(f"{group.name}/{system}" for group in groups() for system in group.systems))
        return
    if given.table:
        print(table([json.loads(line) for path in given.table for line in path.read_text().splitlines()]))
        return
    chosen = [resized(group, given.rows, given.quick) for group in groups()]
    repeats = range(1 if given.quick else given.repeats)
    planned = [[job for group in chosen for job in jobs(group, repeat, given.only)] for repeat in repeats]
    if not any(planned):
        raise SystemExit(f"no run is called {' or '.join(given.only)}; --list prints the names")
    raw = BUILD / f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H%M%S}.jsonl"
    raw.parent.mkdir(parents=True, exist_ok=True)
    lines: list[dict[str, Any]] = []
    with raw.open("w", encoding="utf-8") as file:
        for repeat in repeats:
            for place, job in enumerate([{"kind": "peak", "system": "matrix products"}, *planned[repeat]]):
                here = f"repeat {repeat + 1}: {place}/{len(planned[repeat])}"
                print(f"{here} {job.get('group', '')} {job['system']}", file=sys.stderr, flush=True)
                lines.append({**measure(job, given.core, given.limit), "hardware": hardware(given.core)})
                file.write(json.dumps(lines[-1]) + "\n")
                file.flush()
    found = table(lines)
    raw.with_suffix(".md").write_text(found + "\n", encoding="utf-8")
    print(f"{found}\n\n{raw}")


if __name__ == "__main__":
    main()
