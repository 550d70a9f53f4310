"""Time and memory of `provetune audit` as the rows grow: rows of t0_50k, and beyond these copies of them varied by edits.

    python -m benchmarks.audit_scale --rows 10000 30000 100000 [--keep build/bench/audit]

Each size is a project of its own and one process (`provetune audit`, everything but the search for wrong labels, which is left
out above 20,000 rows unless it is asked for). Memory is the largest resident set of that process, as the kernel tells it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.planted_rows import data_folder, t0_rows, with_errors

TYPOS, REWORDED = 0.1, 0.3
"""A tenth of the copies get typing errors; in the others three words of ten are replaced by words of other rows."""


def varied(rows: Sequence[tuple[str, str]], count: int, seed: int = 1) -> Iterator[tuple[str, str]]:
    """`count` rows: the given ones, then edited copies of them, over and over."""
    draw = random.Random(seed)
    words = sorted({word for prompt, _ in rows[::20] for word in prompt.split() if word.isalpha()})
    for number in range(count):
        prompt, completion = rows[number % len(rows)]
        if number >= len(rows):
            if draw.random() < TYPOS:
                prompt = with_errors(prompt, draw)
            else:
                prompt = " ".join(draw.choice(words) if draw.random() < REWORDED else word for word in prompt.split(" "))
        yield prompt, completion


def measured(folder: Path, rows: Sequence[tuple[str, str]], count: int) -> dict[str, float]:
    """Make a project of `count` rows in `folder` and audit it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        for prompt, completion in varied(rows, count):
            file.write(json.dumps({"prompt": prompt, "completion": completion}, ensure_ascii=False) + "\n")
    provetune = [sys.executable, "-m", "provetune", "--format", "quiet", "-C", str(folder)]
    subprocess.run([*provetune, "init", str(folder / "rows.jsonl"), "--task", "generate"], check=True)
    began = time.perf_counter()
    child = subprocess.Popen([*provetune, "audit"], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, 5):  # 5: the audit found blockers, as it should in these rows
        sys.exit(f"provetune audit ended with {code}")
    return {
        "rows": count,
        "megabytes": round((folder / "rows.jsonl").stat().st_size / 1e6, 1),
        "wall_s": round(time.perf_counter() - began, 1),
        "cpu_s": round(used.ru_utime + used.ru_stime, 1),
        "peak_gib": round(used.ru_maxrss / 2**20, 2),
    }


def main() -> None:
    """Print one line of JSON for each size, then a table with the growth of time against n log n."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 30_000, 100_000])
    parser.add_argument("--keep", type=Path, default=Path("build/bench/audit"), help="folder of the projects made")
    given = parser.parse_args()
    rows = t0_rows(data_folder())
    found = []
    for count in given.rows:
        found.append(measured(given.keep / str(count), rows, count))
        print(json.dumps(found[-1]), flush=True)
    print("\n| rows | MB | wall s | CPU s | peak GiB | CPU s / (n log n), first = 1 |\n|--:|--:|--:|--:|--:|--:|")
    first = found[0]["cpu_s"] / (found[0]["rows"] * math.log(found[0]["rows"]))
    for line in found:
        growth = line["cpu_s"] / (line["rows"] * math.log(line["rows"])) / first
        print(f"| {line['rows']:,} | {line['megabytes']:,} | {line['wall_s']} | {line['cpu_s']} | {line['peak_gib']} | {growth:.2f} |")


if __name__ == "__main__":
    main()
