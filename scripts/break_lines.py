"""Breaks lines of `src` one at a time in a private copy (`breaks.py` names them) and tells which of them the tests notice.

    python scripts/break_lines.py                    all of them; ends with 1 where a break goes unnoticed
    python scripts/break_lines.py stats/ gate.py     those of files whose place begins so

Each break runs in a forked process in which the heavy libraries are loaded already: about four CPU-seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

import peft  # noqa: F401  # loaded once for all breaks
import pytest
import scipy.stats
import sklearn.linear_model  # noqa: F401
import torch
import transformers  # noqa: F401
from breaks import BREAKS, Break

ROOT = Path(__file__).resolve().parents[1]
COPIED = (
    "src",
    "tests",
    "scripts",
    "docs",
    "pyproject.toml",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "Makefile",
    "constraints.txt",
)


def copied(folder: Path) -> Path:
    """A copy of all that the tests read."""
    for name in COPIED:
        place = ROOT / name
        if place.is_dir():
            shutil.copytree(place, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(place, folder / name)
    return folder


def broken(text: str, one: Break) -> str:
    """The text with this break; SystemExit where its line does not stand there exactly once."""
    if text.count(one.old) != 1 or one.old == one.new:
        raise SystemExit(
            f"src/provetune/{one.file}: found {one.old!r} {text.count(one.old)} times, wanted it once; renew scripts/breaks.py"
        )
    return text.replace(one.old, one.new)


def run_tests(folder: Path, one: Break) -> int:
    """Exit code of pytest, in this process: the folder's own sources, output into a file."""
    os.chdir(folder)
    sys.path[:0] = [str(folder / "src"), str(folder)]
    os.environ["PYTHONPATH"] = str(folder / "src")
    tests = [f"src/provetune/{one.file}", *(f"tests/{name}" for name in one.tests.split())]
    options = [
        "-x",
        "-q",
        "-rfE",
        "-m",
        "not slow",
        "-p",
        "no:cacheprovider",
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",
        "--basetemp",
        str(folder / "tmp"),
    ]
    with (folder / "said.txt").open("w") as said, contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        return int(pytest.main([*options, *tests]))


def noticed(folder: Path, one: Break) -> tuple[int, str]:
    """Exit code of pytest with this break (1: noticed, 0: not), and its last line but one that names a test."""
    file = folder / "src" / "provetune" / one.file
    whole = file.read_text(encoding="utf-8")
    file.write_text(broken(whole, one), encoding="utf-8")
    try:
        child = os.fork()
        if not child:
            code = 70
            try:
                code = run_tests(folder, one)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        file.write_text(whole, encoding="utf-8")
    lines = (folder / "said.txt").read_text(encoding="utf-8").splitlines()
    return code, next((line for line in lines if line.startswith(("FAILED", "ERROR"))), "")


def main() -> int:
    """Every chosen break, one after the other; 1 where one goes unnoticed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("places", nargs="*", help="beginnings of files below src/provetune")
    places = tuple(parser.parse_args().places) or ("",)
    assert torch.get_num_threads() and scipy.stats.norm.cdf(0) == 0.5  # both are needed loaded
    chosen = [one for one in BREAKS if one.file.startswith(places)]
    for one in chosen:
        broken((ROOT / "src" / "provetune" / one.file).read_text(encoding="utf-8"), one)
    missed = []
    with tempfile.TemporaryDirectory() as folder:
        copy = copied(Path(folder))
        for one in chosen:
            started = time.monotonic()
            code, said = noticed(copy, one)
            told = {0: "NOT NOTICED", 1: "noticed"}.get(code, f"pytest ended with {code}")
            print(f"{one.file} | {one.old.strip()} | {one.new.strip()} | {told} | {said} | {time.monotonic() - started:.1f} s", flush=True)
            missed += [one] if code != 1 else []
    print(f"{len(chosen) - len(missed)} of {len(chosen)} breaks were noticed")
    return int(bool(missed))


if __name__ == "__main__":
    raise SystemExit(main())
