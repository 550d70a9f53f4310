"""`compare`: the paired verdict on predictions made anywhere; and other tools' results turned into such predictions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from provetune.errors import FolderError
from provetune.evaluation import compare
from provetune.evaluation.recorded import check_same, compared_side, notes_of, recorded_evaluation, recorded_metric, shared_ids
from provetune.formats.predictions import read_predictions
from provetune.formats.results import Imported, read_lm_eval, read_promptfoo
from provetune.gate import Measured, decide
from provetune.records.evaluation import GateRule, RuleKind
from provetune.records.paired import PairedVerdict
from provetune.stats.multiple import noninferiority_confidence
from provetune.stats.power import provable_with
from provetune.store import write_atomic

Claim = Literal["better", "not-worse"]
MARGINS: dict[Claim, float] = {"better": 0.02, "not-worse": 0.05}
_KINDS: dict[Claim, RuleKind] = {"better": "beats_baseline", "not-worse": "not_worse_than"}


@dataclass(frozen=True)
class CompareWish:
    """What is claimed of which files. `metric` None takes the given scores; `shared` leaves out ids that one file lacks."""

    candidate: Path
    baseline: Path
    metric: str | None = None
    claim: Claim = "better"
    margin: float | None = None
    confidence: float = 0.95
    shared: bool = False


def compare_files(wish: CompareWish) -> PairedVerdict:
    """The verdict on two files of predictions for the same examples.

    Raises DataError or SpecError, with file and line, on rows that cannot be paired: ids that one file lacks (unless `shared`),
    targets or groups that differ, no target where the metric needs one, scores outside 0 to 1.
    """
    files = read_predictions(wish.candidate), read_predictions(wish.baseline)
    ids = shared_ids(*files, allowed=wish.shared)
    for name in ids:
        check_same(name, *files)
    metric = recorded_metric(wish.metric, files, ids)
    ours, theirs = (recorded_evaluation(file, ids, metric, files[0]) for file in files)
    confidence = noninferiority_confidence(wish.confidence) if wish.claim == "not-worse" else wish.confidence
    found = compare(ours, theirs, metric.name, confidence, metric)
    margin = MARGINS[wish.claim] if wish.margin is None else wish.margin
    rule = GateRule(
        name=wish.claim, kind=_KINDS[wish.claim], metric=metric.name, baseline=found.baseline, margin=margin, confidence=wish.confidence
    )
    [verdict] = decide([rule], Measured(ours, [theirs], [found], (), 1, wish.confidence)).verdicts
    edge = margin if wish.claim == "better" else -margin
    return PairedVerdict(
        metric=metric.name,
        candidate=compared_side(files[0], ours, metric, wish.confidence),
        baseline=compared_side(files[1], theirs, metric, wish.confidence),
        compared=found.wins + found.ties + found.losses,
        comparison=found,
        verdict=verdict,
        smallest_provable_gain=provable_with(found.difference, margin=edge),
        notes=notes_of(files, ids),
    )


def import_predictions(tool: str, file: Path, out: Path, chosen: dict[str, str], *, force: bool) -> tuple[dict[Path, int], list[str]]:
    """Write the results of another tool as prediction files: rows by file, and what was left out. One candidate is `out` itself.

    Raises DataError where the file has another shape, FolderError where a file is there and `force` is not set.
    """
    read = read_lm_eval(file, chosen.get("metric"), chosen.get("filter")) if tool == "lm-eval" else read_promptfoo(file)
    written = {}
    for place, rows in _places(read, out).items():
        if place.exists() and not force:
            raise FolderError(f"{place}: is there already; name another with --out, or write it anew with --force")
        write_atomic(place, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        written[place] = len(rows)
    return written, read.notes


def _places(read: Imported, out: Path) -> dict[Path, list[dict[str, object]]]:
    if len(read.rows) == 1:
        return {out: next(iter(read.rows.values()))}
    names = ["".join(letter if letter.isalnum() else "-" for letter in name) for name in read.rows]
    unique = [name if names.count(name) == 1 else f"{name}-{place}" for place, name in enumerate(names)]
    return {out.with_name(f"{out.stem}-{name}{out.suffix}"): rows for name, rows in zip(unique, read.rows.values(), strict=True)}
