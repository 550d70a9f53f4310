"""Predictions that were made elsewhere: one JSON object a line with `id`, `prediction`, and `target` or `score`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provetune.errors import DataError
from provetune.formats.jsonl import JsonObject, kind, objects
from provetune.formats.text import did_you_mean, listed, quoted

LONG = 100_000
"""Characters from which a prediction is counted as long."""
_KEYS = ("id", "prediction", "target", "score", "group", "error")


@dataclass(frozen=True)
class Recorded:
    """One row; `prediction` None means that none came, `targets` may be empty where there is a score."""

    id: str
    prediction: str | None
    targets: tuple[str, ...]
    score: float | None
    group: str | None
    line: int


@dataclass
class PredictionFile:
    """The rows of a file by id, in its order, and what was noticed on the way, counted."""

    path: Path
    rows: dict[str, Recorded] = field(default_factory=dict)
    not_measured: int = 0
    long: int = 0
    other_keys: tuple[str, ...] = ()

    def where(self, name: str) -> str:
        """`file:line` of a row."""
        return f"{self.path}:{self.rows[name].line}"


def read_predictions(path: Path) -> PredictionFile:
    """Every row of `path`; a `prediction` that is null was not measured and is counted.

    Raises DataError, with file and line, on broken JSON, NaN, an id that is missing or comes twice, a prediction that is no text, an
    empty target, a score that is no number, a row without target and score, or a file without rows.
    """
    found, others = PredictionFile(path), set[str]()
    for line, row in objects(path):
        where = f"{path}:{line}"
        read = _row(row, line, where)
        if read.id in found.rows:
            raise DataError(f"{where}: id {quoted(read.id)} is there already, on line {found.rows[read.id].line}; give each row its own id")
        found.rows[read.id] = read
        found.not_measured += read.prediction is None
        found.long += len(read.prediction or "") > LONG
        others |= set(row) - set(_KEYS)
    if not found.rows:
        raise DataError(f'{path}: found no rows, wanted one JSON object a line, such as {{"id": "7", "prediction": "yes", "target": "no"}}')
    found.other_keys = tuple(sorted(others))
    return found


def _row(row: JsonObject, line: int, where: str) -> Recorded:
    for key in ("id", "prediction"):
        if key not in row:
            raise DataError(f"{where}: key {key!r} is missing, found keys {listed(row)}{did_you_mean(key, row)}")
    prediction, score = row["prediction"], row.get("score")
    if prediction is not None and not isinstance(prediction, str):
        raise DataError(f"{where}: 'prediction' is {kind(prediction)}, wanted text, or null where none came")
    if score is not None and not isinstance(score, bool | int | float):
        raise DataError(f"{where}: 'score' is {kind(score)}, wanted a number, or null where it was not measured")
    targets = _targets(row.get("target"), where)
    if not targets and "score" not in row:
        raise DataError(f"{where}: found neither 'target' nor 'score', wanted what should have been written, or how good it is")
    name = _name(row["id"], "id", where)
    group = None if row.get("group") is None else _name(row["group"], "group", where)
    return Recorded(name, prediction, targets, None if score is None else float(score), group, line)


def _targets(value: Any, where: str) -> tuple[str, ...]:
    """The right texts; none where the key is missing or null."""
    if value is None:
        return ()
    texts = value if isinstance(value, list) else [value]
    wrong = next((text for text in texts if not isinstance(text, str)), None)
    if wrong is not None:
        raise DataError(f"{where}: 'target' holds {kind(wrong)}, wanted a text, or a list of texts that are equally right")
    if not texts or any(not text.strip() for text in texts):
        raise DataError(f"{where}: found an empty target, wanted a text; fill it in or remove the row from both files")
    return tuple(texts)


def _name(value: Any, key: str, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise DataError(f"{where}: {key!r} is {kind(value)}, wanted a text or a whole number")
    return str(value)
