"""Memory of LoRA and of QLoRA: `python -m benchmarks.four_bits`.

Trains each for four steps on the shape of SmolLM-135M (random weights), each in a process of its own, and prints one row of Markdown per
method: the memory of the weights, and what the process held beyond Python and its packages: its own memory, and the pages of the files
of weights that lie in it. About two minutes.
"""

from __future__ import annotations

import ctypes
import gc
import json
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np

from benchmarks.work import model_folder
from provetune.chat import TokenRow
from provetune.models.transformers import load_model
from provetune.tuning.checkpoint import CheckpointFolder
from provetune.tuning.loop import Trainer
from provetune.tuning.methods import METHODS
from provetune.tuning.state import Hooks, LoopSettings, ValidationPoint

ROWS, TOKENS = 16, 96


def measured(method: str) -> dict[str, float]:
    """Sizes in MiB, and the last loss."""
    draw = np.random.default_rng(0)
    labelled = np.array([False] * (TOKENS // 2) + [True] * (TOKENS // 2))
    rows = [TokenRow(draw.integers(5, 8000, TOKENS), labelled) for _ in range(ROWS)]
    before = held()
    model = load_model(model_folder("llama-135m"), quantized=method == "qlora")
    weights = sum(p.nbytes for p in model.parameters())
    model = METHODS[method](model, {"r": 16, "alpha": 32, "dropout": 0.0, "targets": "all-linear"})
    loaded, mapped, most, done = held(), mapped_weights(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            most[0] = max(most[0], held(trim=False))

    watcher = threading.Thread(target=watch)
    watcher.start()
    hooks = Hooks(lambda _, step: ValidationPoint(step, 0.0, 0.0))
    settings = LoopSettings(learning_rate=2e-4, epochs=1, rows_per_step=4, max_tokens=256)
    with tempfile.TemporaryDirectory() as place:
        state = Trainer(model, rows, settings, CheckpointFolder(Path(place)), hooks).run()
    done.set()
    watcher.join()
    found = {"weights": weights, "loaded": loaded - before + mapped, "peak": most[0] - before + max(mapped, mapped_weights())}
    return {**{name: size / 2**20 for name, size in found.items()}, "loss": state.losses[-1][1]}


def held(*, trim: bool = True) -> int:
    """Bytes of the process's own memory, mapped files left out; with `trim` after free memory is given back (Linux)."""
    if trim:
        gc.collect()
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def mapped_weights() -> int:
    """Bytes of files of weights that lie in the process's memory; LoRA's base is used from there, page by page."""
    found, counts = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.partition(" ")[0]:
            counts = line.endswith(".safetensors")
        elif counts and line.startswith("Rss:"):
            found += int(line.split()[1]) * 1024
    return found


def main() -> None:
    """Print the table; with a method's name, measure it here."""
    if len(sys.argv) > 1:
        print(json.dumps(measured(sys.argv[1])))
        return
    model_folder("llama-135m")
    print("| method | weights, MiB | process after loading, MiB | most while training, MiB | last loss |\n|---|---|---|---|---|")
    for method in ("lora", "qlora"):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.four_bits", method], check=True, capture_output=True, text=True
        )
        found = json.loads(done.stdout.splitlines()[-1])
        print(f"| {method} | {found['weights']:.0f} | {found['loaded']:.0f} | {found['peak']:.0f} | {found['loss']:.3f} |", flush=True)


if __name__ == "__main__":
    main()
