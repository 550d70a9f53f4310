"""Mutated files of every format end in rows and counts or in one clear error: no other exception, no hang, no row lost without a count."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.architecture.source import ROOT

SEED = 1


def script() -> ModuleType:
    """scripts/fuzz_formats.py, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("fuzz_formats", ROOT / "scripts" / "fuzz_formats.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules["fuzz_formats"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fuzz_formats = script()


def test_the_whole_files_are_read_whole(tmp_path: Path) -> None:
    endings = {}
    for name, content in fuzz_formats.whole_files():
        (tmp_path / name).write_bytes(content)
        endings[name] = fuzz_formats.look(tmp_path / name)
    assert {name: ending.fault for name, ending in endings.items() if ending.fault} == {}
    assert {name for name, ending in endings.items() if ending.how == "DataError"} == {"latin.csv", "wide.csv"}  # not UTF-8
    assert len(endings) > 20


def test_every_mutated_file_ends_as_promised() -> None:
    endings, faults = fuzz_formats.fuzz(600, SEED)
    assert not faults, "\n".join(faults)
    rows = sum(count for what, count in endings.items() if what.partition(": ")[2].startswith("rows"))
    assert 60 < rows < 400  # neither harmless nor all broken at the first byte


@pytest.mark.slow
def test_ten_thousand_mutated_files_end_as_promised(tmp_path: Path) -> None:
    _, faults = fuzz_formats.fuzz(10_000, SEED, tmp_path / "kept")
    assert not faults, "\n".join(faults)


def test_a_fault_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge itself: lost rows, unclear messages, tracebacks and hangs are faults."""
    path = tmp_path / "rows.csv"
    path.write_text("text,label\n" + "".join(f"t{k},{'ab'[k % 2]}\n" for k in range(12)))
    assert fuzz_formats.look(path) == fuzz_formats.Ending("rows")

    def end(outcome: object) -> str:
        def read(*given: object) -> object:
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        monkeypatch.setattr(fuzz_formats, "read_rows", read)
        return str(fuzz_formats.look(path).fault)

    assert end([]) == "0 rows and 0 left out, but the file holds 12"
    assert end(fuzz_formats.ProvetuneError("something is wrong")).startswith("the message does not name the file clearly")
    assert end(ValueError("x")) == "ValueError: x"
    assert end(fuzz_formats.TooSlow()) == "more than 10 s"
