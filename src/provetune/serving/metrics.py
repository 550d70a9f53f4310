"""Figures in the text form of Prometheus (exposition format 0.0.4)."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
Labels = tuple[tuple[str, str], ...]


@dataclass
class _Histogram:
    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    total: float = 0.0


@dataclass
class Figures:
    """Counters and histograms by name and labels; gauges are read when they are asked for."""

    counters: dict[str, dict[Labels, float]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(float)))
    histograms: dict[str, dict[Labels, _Histogram]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(_Histogram)))

    def add(self, name: str, value: float = 1, **labels: str) -> None:
        """Count on."""
        self.counters[name][tuple(sorted(labels.items()))] += value

    def seconds(self, name: str, value: float, **labels: str) -> None:
        """Note how long something took."""
        found = self.histograms[name][tuple(sorted(labels.items()))]
        found.counts[bisect_left(BUCKETS_S, value)] += 1
        found.total += value

    def text(self, gauges: Mapping[str, float]) -> str:
        """All of it, names behind `provetune_`."""
        lines: list[str] = []
        for name, value in sorted(gauges.items()):
            lines += [f"# TYPE provetune_{name} gauge", f"provetune_{name} {value:g}"]
        for name, series in sorted(self.counters.items()):
            lines.append(f"# TYPE provetune_{name}_total counter")
            lines += [f"provetune_{name}_total{_shown(labels)} {value:g}" for labels, value in sorted(series.items())]
        for name, rows in sorted(self.histograms.items()):
            lines.append(f"# TYPE provetune_{name}_seconds histogram")
            for labels, found in sorted(rows.items(), key=lambda item: item[0]):
                below = 0
                for edge, count in zip((*map(str, BUCKETS_S), "+Inf"), found.counts, strict=True):
                    below += count
                    lines.append(f"provetune_{name}_seconds_bucket{_shown((*labels, ('le', edge)))} {below}")
                lines.append(f"provetune_{name}_seconds_sum{_shown(labels)} {found.total:g}")
                lines.append(f"provetune_{name}_seconds_count{_shown(labels)} {below}")
        return "\n".join(lines) + "\n"


def _shown(labels: Labels) -> str:
    quoted = [(name, value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")) for name, value in labels]
    return "{" + ",".join(f'{name}="{value}"' for name, value in quoted) + "}" if labels else ""
