"""Files of predictions: every fault is told with file and line, everything else is counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provetune.errors import DataError
from provetune.formats.predictions import read_predictions


def written(folder: Path, *rows: Any) -> Path:
    file = folder / "a.jsonl"
    file.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8")
    return file


def test_what_is_read_and_counted(tmp_path: Path) -> None:
    rows = (
        {"id": 7, "prediction": "yes", "target": "no", "group": "g", "model": "m"},
        {"id": "b", "prediction": None, "target": ["no", "nope"], "error": "timeout"},
        {"id": "c", "prediction": "x" * 100_001, "score": 0.5},
        {"id": "d", "prediction": "", "score": None},
    )
    found = read_predictions(written(tmp_path, *rows))
    assert list(found.rows) == ["7", "b", "c", "d"] and (found.not_measured, found.long) == (1, 1)
    assert found.rows["b"].targets == ("no", "nope") and found.rows["b"].prediction is None
    assert (found.rows["7"].group, found.rows["c"].score, found.rows["d"].score) == ("g", 0.5, None)
    assert found.other_keys == ("model",) and found.where("c").endswith("a.jsonl:3")


GOOD = {"id": "a", "prediction": "yes", "target": "no"}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"prediction": "yes", "target": "no"}, "key 'id' is missing"),
        ({"id": "b", "target": "no"}, "key 'prediction' is missing"),
        ({"id": "b", "predicton": "yes", "target": "no"}, "key 'prediction' is missing"),
        (GOOD, "id 'a' is there already, on line 1"),
        ({"id": " ", "prediction": "yes", "target": "no"}, "'id' is"),
        ({"id": True, "prediction": "yes", "target": "no"}, "'id' is true"),
        ({"id": "b", "prediction": ["yes"], "target": "no"}, "'prediction' is a list"),
        ({"id": "b", "prediction": "yes", "target": " "}, "an empty target"),
        ({"id": "b", "prediction": "yes", "target": []}, "an empty target"),
        ({"id": "b", "prediction": "yes", "target": ["no", ""]}, "an empty target"),
        ({"id": "b", "prediction": "yes", "target": [3]}, "'target' holds 3"),
        ({"id": "b", "prediction": "yes"}, "neither 'target' nor 'score'"),
        ({"id": "b", "prediction": "yes", "score": "high"}, "'score' is a text"),
        ('{"id": "b", "prediction": "yes", "score": NaN}', "found NaN"),
        ('{"id": "b", "prediction": "yes", "score": 1e999}', "found 1e999"),
        ("[1, 2]", "found a list, wanted a JSON object"),
        ('{"id": "b", ', "not JSON"),
    ],
)
def test_a_fault_is_told_with_its_line(tmp_path: Path, row: Any, words: str) -> None:
    with pytest.raises(DataError, match=words) as told:
        read_predictions(written(tmp_path, GOOD, row))
    assert "a.jsonl:2" in str(told.value)


def test_nothing_in_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.jsonl: found 1 bytes and no text"):
        read_predictions(written(tmp_path, ""))
    with pytest.raises(DataError, match=r"a\.jsonl: found no rows"):
        read_predictions(written(tmp_path, "[]"))
