"""Evidently and river on our texts and streams; runs in `build/rivals` and prints one JSON line a cell."""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

import numpy as np

warnings.filterwarnings("ignore")


def evidently_lines(cells: list[dict[str, Any]]) -> None:
    """Text drift of Evidently at its defaults: share of runs in which it calls the column drifted."""
    import pandas as pd
    from evidently.legacy.metrics import ColumnDriftMetric
    from evidently.legacy.pipeline.column_mapping import ColumnMapping
    from evidently.legacy.report import Report

    for cell in cells:
        hits = []
        for reference, window in cell["pairs"]:
            report = Report(metrics=[ColumnDriftMetric("text")])
            sides = [pd.DataFrame({"text": side}) for side in (reference, window)]
            report.run(reference_data=sides[0], current_data=sides[1], column_mapping=ColumnMapping(text_features=["text"]))
            hits.append(bool(report.as_dict()["metrics"][0]["result"]["drift_detected"]))
        line = {"rival": "Evidently", **{key: cell[key] for key in ("scenario", "sizes", "share")}, "trials": len(hits)}
        print(json.dumps({**line, "noticed": float(np.mean(hits))}), flush=True)


def river_lines() -> None:
    """River's detectors at their defaults on Bernoulli errors: false alarms in 2,000 labels, delay after 1,000 stable ones."""
    from river import drift

    kinds = {
        "ADWIN": drift.ADWIN,
        "Page-Hinkley": drift.PageHinkley,
        "DDM": drift.binary.DDM,
        "EDDM": drift.binary.EDDM,
    }
    for name, make in kinds.items():
        random = np.random.default_rng(2)
        ever = [_first(make(), random.random(2000) < 0.10) > 0 for _ in range(100)]
        delays = []
        for _ in range(60):
            detector = make()
            _first(detector, random.random(1000) < 0.10)
            delays.append(_first(detector, random.random(1000) < 0.20))
        median = float(np.median([delay or 10**6 for delay in delays]))
        line = {
            "rival": f"river {name}",
            "trials": [100, 60],
            "false alarm in 2,000": float(np.mean(ever)),
            "median delay 10 -> 20 %": median,
        }
        print(json.dumps({**line, "missed": float(np.mean([delay == 0 for delay in delays]))}), flush=True)


def _first(detector: Any, errors: np.ndarray) -> int:
    """Number of the label at which it first alarms; 0 for never."""
    for place, error in enumerate(errors, start=1):
        detector.update(int(error))
        if detector.drift_detected:
            return place
    return 0


if __name__ == "__main__":
    river_lines()
    with open(sys.argv[1], encoding="utf-8") as pairs:
        evidently_lines(json.load(pairs))
