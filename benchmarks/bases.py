"""The starter, an early checkpoint of its own recipe, and random weights in a bake-off: `python -m benchmarks.bases [--early-seconds N]`.

The early checkpoint is a model of the starter's architecture (seed 0), trained by its script's settings on the first conversations of the
same rows and stopped after N seconds of processor time; it is kept under build/ and only made where it is not there. Each base is tuned by
LoRA on 300 rows of Banking77 (its first ten labels) and of SNIPS (seven intents), and scored on 200 validation rows. Prints the table of
docs/bases.md. About six minutes of one core.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import random
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast

from benchmarks.search import banking77, snips
from benchmarks.work import BUILD, data_folder
from provetune.engine.likelihood import mean_nats
from provetune.models.locate import STARTER
from provetune.report.bases import baked_cells
from provetune.tuning.checkpoint import CheckpointFolder
from provetune.tuning.loop import Trainer
from provetune.tuning.state import Hooks, LoopSettings, LoopState, ValidationPoint
from provetune.workflow.bases import BasesWish, compare_bases
from provetune.workflow.project import open_project

ROWS = 900
CARD = "---\nlicense: apache-2.0\n---\n"
SCRIPT = Path(__file__).parents[1] / "scripts" / "train_starter.py"


def starter_script() -> ModuleType:
    """scripts/train_starter.py, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("train_starter", SCRIPT)
    assert spec is not None and spec.loader is not None
    found = sys.modules["train_starter"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def early_checkpoint(folder: Path, seconds: float, rows_read: int = 6000) -> dict[str, float]:
    """Train for `seconds` of processor time (0: not at all) and save the model with the starter's tokenizer; what it cost and reached."""
    script = starter_script()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(STARTER)
    train, held_out = script.read_rows(data_folder() / "t0_50k" / "t0_50k.jsonl.gz")
    rows = script.to_token_rows(tokenizer, script.conversations(train[:: len(train) // rows_read], seed=0))
    check = script.to_token_rows(tokenizer, script.conversations(held_out[::20], seed=0))
    model: Any = script.build_model(tokenizer, seed=0)
    began, done = time.process_time(), LoopState()
    settings = LoopSettings(
        learning_rate=2e-3, epochs=1, rows_per_step=8, max_tokens=2048, warmup_share=0.03, decay_share=0.5, weight_decay=0.1,
        betas=(0.9, 0.95), precision="bf16",
    )  # fmt: skip

    def progress(state: LoopState, total: int) -> None:
        done.step, done.tokens = state.step, state.tokens
        if time.process_time() - began > seconds:
            state.stopped_because = "time"

    if seconds:
        hooks = Hooks(lambda _, step: ValidationPoint(step, 0.0, 0.0), progress, save_every_s=1e9)
        Trainer(model, rows, settings, CheckpointFolder(folder.with_name(f"{folder.name}-checkpoints")), hooks).run()
    nats = mean_nats(model, check)
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(CARD)
    told = {"steps": done.step, "tokens": done.tokens, "cpu_s": time.process_time() - began, "nats": nats}
    (folder / "told.json").write_text(json.dumps(told))
    return told


def project(name: str, rows: Sequence[tuple[str, str]], place: Path) -> Path:
    """A project folder over `rows`; written anew."""
    folder = place / name
    if not folder.exists():
        folder.mkdir(parents=True)
        with (folder / "rows.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *rows])
        (folder / "provetune.yaml").write_text(
            f"version: 1\nname: {name}\ntask: classify\ndata: {{path: rows.csv, columns: {{prompt: text, target: label}}}}\n"
            "base: {model: starter, licences_allowed: [apache-2.0]}\nprove: {retention: []}\n"
        )
    return folder


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--early-seconds", type=float, default=240.0)
    parser.add_argument("--again", action="store_true", help="measure again")
    parser.add_argument("--only", choices=["banking77", "snips"])
    arguments = parser.parse_args()
    place = BUILD / "bases"
    if arguments.again:
        shutil.rmtree(place / "projects", ignore_errors=True)
    for name, seconds in (("early", arguments.early_seconds), ("random", 0.0)):
        if not (place / name / "told.json").exists():
            early_checkpoint(place / name, seconds)
        print(f"{name}: {(place / name / 'told.json').read_text()}", flush=True)
    sets = {"banking77": banking77(data_folder()), "snips": snips(data_folder())}
    for name, rows in sets.items():
        if arguments.only in (None, name):
            labels = sorted({label for _, label in rows})[:10]
            kept = sorted({row for row in rows if row[1] in labels})
            random.Random(0).shuffle(kept)
            kept = kept[:ROWS]
            folder = project(name, kept, place / "projects")
            wish = BasesWish(("starter", str(place / "early"), str(place / "random")), bake=True, minutes=60.0)
            found, _ = compare_bases(open_project(folder, (), lambda *_: None), wish)
            for row in found.baked:
                print("| " + " | ".join((name, *baked_cells(row.model_copy(update={"name": Path(row.name).name})))) + " |", flush=True)
            for pair in found.between:
                print(f"{Path(pair.candidate).name} - {Path(pair.baseline).name}: {pair.difference}", flush=True)
            print(found.sentence, flush=True)


if __name__ == "__main__":
    main()
