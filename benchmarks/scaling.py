"""How time and memory of ours grow with the data: `python -m benchmarks.scaling`, 1,000 to 100,000 rows of banking77.

Every row is encoded and every optimizer step of an epoch is planned; training goes on for `--train-seconds` and says how many rows
that were. Nothing is extrapolated. Rows beyond the data set's own join two of its messages, so that no two rows are the same.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks import ours
from benchmarks.measure import Memory, Stopwatch
from benchmarks.run import LEARNING_RATE, RANK, alone
from benchmarks.table import hardware
from benchmarks.work import Conversation, banking77, data_folder

SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
ROWS_PER_STEP = 16


def conversations(count: int) -> Iterator[Conversation]:
    """`count` different conversations under the same system line."""
    own = list(banking77(data_folder()))
    yield from own[:count]
    for number in range(count - len(own)):
        (system, (_, text), answer), (_, (_, more), _) = own[number % len(own)], own[(number + 1 + number // len(own)) % len(own)]
        yield [system, ("user", f"{text} {more}"), answer]


def one_size(count: int, train_seconds: float) -> dict[str, Any]:
    """Seconds and MiB of each part for `count` rows."""
    memory = Memory()
    tokens = ours.tokenizer(ours.STARTER)
    encoded, rows = _timed(lambda: [row for row in (ours.encode(turns, tokens) for turns in conversations(count)) if len(row) <= 1024])
    held = memory.peak()["peak_mib"]
    planned, packs = _timed(lambda: ours.plan(rows, ROWS_PER_STEP))
    model = ours.load_trainable(ours.STARTER, "lora", RANK)
    memory, watch = Memory(), Stopwatch()
    job = {"learning_rate": LEARNING_RATE["lora"], "rows_per_step": ROWS_PER_STEP, "precision": "fp32", "max_seconds": train_seconds}
    trained = ours.train_rows(model, rows, job, watch)
    return {
        "rows": len(rows),
        "left out": count - len(rows),
        "tokens": sum(map(len, rows)),
        "encode CPU-s": encoded,
        "peak MiB of encoding": held,
        "plan CPU-s": planned,
        "packs": packs,
        "rows trained": min(len(rows), len(trained) * ROWS_PER_STEP),
        "tokens/CPU-s": sum(step[0] for step in trained[1:]) / watch.seconds()["cpu_s"],
        "peak MiB of training": memory.peak()["peak_mib"],
    }


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    watch = Stopwatch()
    watch.tick()
    found = work()
    watch.tick()
    return watch.seconds()["cpu_s"], found


def main() -> None:
    """One process per size; a Markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--train-seconds", type=float, default=120)
    parser.add_argument("--one", action="store_true", help="measure the one size given in this process, print JSON")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one_size(given.sizes[0], given.train_seconds)))
        return
    core = (os.cpu_count() or 1) - 1
    print(hardware(core))
    for number, size in enumerate(given.sizes):
        command = [sys.executable, "-m", "benchmarks.scaling", "--one", "--sizes", str(size), "--train-seconds", str(given.train_seconds)]
        done = alone(command, core, None)
        if done.returncode:
            raise SystemExit(f"{size} rows: {done.stderr}")
        found = json.loads(done.stdout.splitlines()[-1])
        if number == 0:
            print("", "| " + " | ".join(found) + " |", "|" + "---|" * len(found), sep="\n")
        print("| " + " | ".join(f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in found.values()) + " |", flush=True)


if __name__ == "__main__":
    main()
