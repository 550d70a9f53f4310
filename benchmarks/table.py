"""One Markdown table of medians from the raw lines of runs."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

Line = dict[str, Any]
TOLERANCE = 0.1
"""Share by which a loss after training may differ from the median of its group (rows come in another order), and the share of
completions that may differ from ours (near ties), before a row is void."""
COLUMNS = (
    "system",
    "speed",
    "lowest - highest",
    "ours / this",
    "wall s",
    "peak MiB",
    "ours / this",
    "run / real tokens",
    "MFU",
    "MFU of what ran",
    "result",
    "note",
)


def hardware(core: int) -> str:
    """The machine in words."""
    names = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else f"pinned to core {core}, 1 thread"
    return f"{names[0] if names else 'unknown CPU'}, {os.cpu_count()} cores, {memory:.0f} GiB, {where}"


def table(lines: Sequence[Line]) -> str:
    """Groups in the order of the runs; a system that failed, cannot run here or trained something else keeps its row."""
    peaks = [line["peak"] for line in lines if "peak" in line]
    peak = {name: statistics.median(each[name] for each in peaks) for name in ("fp32", "bf16")} if peaks else {}
    versions: dict[str, str] = {}
    for line in lines:
        versions |= line.get("versions", {})
    out = [
        f"Hardware: {'; '.join(sorted({line['hardware'] for line in lines}))}.",
        f"Matrix peak, GFLOP/s: {', '.join(f'{name} {rate / 1e9:,.0f}' for name, rate in peak.items()) or 'not measured'}.",
        f"Versions: {', '.join(f'{name} {version}' for name, version in versions.items())}.",
        "",
        _row(COLUMNS),
        "|" + "---|" * len(COLUMNS),
    ]
    for name in dict.fromkeys(line["group"] for line in lines if "group" in line):
        out += _group([line for line in lines if line.get("group") == name], peak)
    return "\n".join(out)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _group(lines: Sequence[Line], peak: dict[str, float]) -> Iterator[str]:
    first = lines[0]
    left_out = f", {first['rows_left_out']} longer ones left out" if first["rows_left_out"] else ""
    unit = ("tokens" if first["kind"] == "train" else "examples") + ("/s" if any(line.get("gpu") for line in lines) else "/CPU-s")
    yield _row([f"**{first['group']}** ({first['rows']} rows{left_out}; {unit})", *[""] * (len(COLUMNS) - 1)])
    done = {system: [line for line in lines if line["system"] == system and "cpu_s" in line] for system in _systems(lines)}
    ours = next((found for system, found in done.items() if system.startswith("ours")), [])
    losses = [_median(found, "loss") for found in done.values() if found and "loss" in found[0]]
    for system in sorted(done, key=lambda system: -statistics.median(map(_speed, done[system])) if done[system] else 0.0):
        stopped = [_why(line) for line in lines if line["system"] == system and "cpu_s" not in line]
        if not done[system]:
            yield _row([system, *[""] * (len(COLUMNS) - 2), "; ".join(dict.fromkeys(stopped))])
            continue
        result, faults = _result(done[system], ours, losses)
        against = [] if faults else ours  # nothing is compared with a void row
        speeds, own = sorted(map(_speed, done[system])), [_speed(line) for line in against]
        memory = _median(done[system], "peak_mib")
        yield _row(
            [
                system,
                _number(statistics.median(speeds)),
                f"{_number(speeds[0])} - {_number(speeds[-1])}",
                f"{statistics.median(own) / statistics.median(speeds):.2f}" if own else "",
                f"{_median(done[system], 'wall_s'):.1f}",
                f"{memory:.0f}",
                f"{_median(against, 'peak_mib') / memory:.2f}" if against and memory > 0 else "",
                *_efficiency(done[system], peak),
                result,
                "; ".join(dict.fromkeys([*stopped, *faults])),
            ]
        )


def _systems(lines: Sequence[Line]) -> dict[str, None]:
    return dict.fromkeys(line["system"] for line in lines)


def _why(line: Line) -> str:
    return f"not measured: {line['not_measured']}" if "not_measured" in line else f"failed: {line['failed']}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _median(lines: Sequence[Line], key: str) -> float:
    return statistics.median(float(line[key]) for line in lines)


def _seconds(line: Line) -> float:
    return float(line["wall_s"] if line["gpu"] else line["cpu_s"])


def _speed(line: Line) -> float:
    return float(line["tokens" if line["kind"] == "train" else "examples"]) / _seconds(line)


def _efficiency(done: Sequence[Line], peak: dict[str, float]) -> tuple[str, str, str]:
    """Tokens through the model over real ones; useful work over the matrix peak; matrix products that did run over it."""
    if done[0]["kind"] != "train" or not peak:
        return "", "", ""
    run = statistics.median(line["read_tokens"] / line["tokens"] for line in done)
    shares = [
        statistics.median(line[key] / _seconds(line) / peak[line["precision"]] for line in done) for key in ("flops", "matrix_flops_run")
    ]
    return f"{run:.2f}", f"{shares[0]:.0%}", f"{shares[1]:.0%}"


def _result(done: Sequence[Line], ours: Sequence[Line], losses: Sequence[float]) -> tuple[str, list[str]]:
    """What came out, and why a row does not count: other tokens, mixed rows, another loss, other completions."""
    if losses:
        loss, middle = _median(done, "loss"), statistics.median(losses)
        faults = {
            "void: trained on other tokens": not all(line["all_rows"] for line in done),
            "void: packed rows see each other": any(line["apart"] is False for line in done),
            f"void: the loss in the middle is {middle:.4f}": abs(loss / middle - 1) > TOLERANCE,
        }
        return f"loss {loss:.4f}", [fault for fault, found in faults.items() if found]
    if not ours:
        return "", []
    pairs = list(zip(done[0]["found"], ours[0]["found"], strict=True))
    if done[0]["kind"] == "nats":
        worst = max(abs(a - b) for row, own in pairs for a, b in zip(row, own, strict=True))
        return f"nats within {worst:.0e} of ours", ["void: other likelihoods than ours"] if worst > 1e-2 else []
    share = statistics.mean(a is not None and b is not None and a.strip() == b.strip() for a, b in pairs)
    return f"{share:.0%} as ours", ["void: other completions than ours"] if share < 1 - TOLERANCE else []
