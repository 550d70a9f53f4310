"""Fetch the public data that some tests and benchmarks read, or check a folder that holds it.

    python scripts/fetch_data.py --out ../shared/data
    python scripts/fetch_data.py --check ../shared/data

`fetch_data.tsv` beside this file names for every file its GitHub repository, commit, path and SHA-256. `path_is` says how sure
the path is: *seen* in a listing of the repository; *assumed* from the files beside it; *made*: the file was built
from what is at that path and cannot be downloaded. Only bytes with the stated SHA-256 are ever kept. A file that is
there and right is not fetched again. Exit code 0: everything that can be downloaded is there and right; 1: not so.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import re
import sys
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import quote

TABLE = Path(__file__).with_name("fetch_data.tsv")
RAW = "https://raw.githubusercontent.com"
API = "https://api.github.com"
TIMEOUT_S = 60
LARGEST_BYTES = 64 * 2**20

PathIs = Literal["seen", "assumed", "made"]
State = Literal["right", "missing", "differs", "failed"]
# Takes an address, gives its content; raises OSError where there is none.
Opener = Callable[[str], bytes]


@dataclass(frozen=True)
class SourceFile:
    """One line of the table."""

    folder: str
    file: str
    repository: str
    commit: str
    path: str
    path_is: PathIs
    sha256: str


@dataclass(frozen=True)
class Outcome:
    """What became of one file; `reason` is empty for a file that is right."""

    source: SourceFile
    state: State
    reason: str = ""


def read_table(path: Path) -> list[SourceFile]:
    """The table, one SourceFile a line; ValueError names the first line that cannot be meant."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t"))
    header = list(SourceFile.__dataclass_fields__)
    if not rows or rows[0] != header:
        raise ValueError(f"{path}:1: wanted the columns {header}, found {rows[0] if rows else 'nothing'}")
    sources = []
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise ValueError(f"{path}:{number}: wanted {len(header)} columns, found {len(row)}")
        if row[5] not in get_args(PathIs):
            raise ValueError(f"{path}:{number}: path_is is one of {', '.join(get_args(PathIs))}; found {row[5]!r}")
        if not re.fullmatch(r"[0-9a-f]{64}", row[6]):
            raise ValueError(f"{path}:{number}: a sha256 has 64 hex digits; found {row[6]!r}")
        if {"..", ""} & set(f"{row[0]}/{row[1]}".split("/")):
            raise ValueError(f"{path}:{number}: folder and file stay inside the output folder; found {row[0]}/{row[1]}")
        sources.append(SourceFile(row[0], row[1], row[2], row[3], row[4], row[5], row[6]))  # type: ignore[arg-type]
    return sources


def look_at(folder: Path, source: SourceFile) -> Outcome:
    """Compare one file on disk with its stated hash."""
    path = folder / source.folder / source.file
    if not path.is_file():
        return Outcome(source, "missing", "not in the folder")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != source.sha256:
        return Outcome(source, "differs", f"sha256 is {found[:12]}…, wanted {source.sha256[:12]}…")
    return Outcome(source, "right")


def check_folder(folder: Path, sources: Iterable[SourceFile]) -> list[Outcome]:
    """Compare every file of the table with the folder; reads only, needs no network."""
    return [look_at(folder, source) for source in sources]


def download(address: str) -> bytes:
    """Content at an http(s) address; OSError if it does not answer, answers an error or sends more than 64 MiB."""
    request = urllib.request.Request(address, headers={"Accept": "application/vnd.github.sha, */*"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            content: bytes = answer.read(LARGEST_BYTES + 1)
    except HTTPException as broken:
        raise OSError(f"the answer broke off: {broken!r}") from broken
    if len(content) > LARGEST_BYTES:
        raise OSError(f"more than {LARGEST_BYTES} bytes")
    return content


def full_commit(source: SourceFile, opener: Opener) -> str:
    """All 40 digits of the commit as GitHub tells them; the short form when it does not answer."""
    try:
        answer = opener(f"{API}/repos/{source.repository}/commits/{source.commit}").decode("ascii", "replace").strip()
    except OSError:
        return source.commit
    return answer if re.fullmatch(r"[0-9a-f]{40}", answer) and answer.startswith(source.commit) else source.commit


def fetch_one(source: SourceFile, commit: str, out: Path, opener: Opener) -> Outcome:
    """Download one file and keep it only if its hash is right; the file appears whole or not at all."""
    address = f"{RAW}/{source.repository}/{commit}/{quote(source.path)}"
    doubt = " (the path is assumed, look for the file in the repository)" if source.path_is == "assumed" else ""
    try:
        content = opener(address)
    except OSError as error:
        return Outcome(source, "failed", f"{address}: {error}{doubt}")
    found = hashlib.sha256(content).hexdigest()
    if found != source.sha256:
        return Outcome(source, "failed", f"{address}: sha256 is {found[:12]}…, wanted {source.sha256[:12]}…; not kept{doubt}")
    path = out / source.folder / source.file
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    os.replace(part, path)
    return Outcome(source, "right")


def fetch(sources: Iterable[SourceFile], out: Path, opener: Opener) -> list[Outcome]:
    """Download what is not yet there and right; one outcome a file, in table order. Made files are only looked at."""
    commits: dict[tuple[str, str], str] = {}
    outcomes = []
    for source in sources:
        outcome = look_at(out, source)
        if outcome.state != "right" and source.path_is != "made":
            key = (source.repository, source.commit)
            if key not in commits:
                commits[key] = full_commit(source, opener)
            outcome = fetch_one(source, commits[key], out, opener)
        outcomes.append(outcome)
    return outcomes


def is_failure(outcome: Outcome) -> bool:
    """A made file may be missing, since it cannot be downloaded; any other file must be right, and so must a made one that is there."""
    return outcome.state != "right" and not (outcome.source.path_is == "made" and outcome.state == "missing")


def describe(outcomes: Iterable[Outcome]) -> list[str]:
    """One line for each file that is not right, then a count."""
    outcomes = list(outcomes)
    lines = []
    for outcome in outcomes:
        source = outcome.source
        name = f"{source.folder}/{source.file}"
        if outcome.state == "right":
            continue
        made = f"; made from {source.repository}@{source.commit} {source.path}, no download" if source.path_is == "made" else ""
        lines.append(f"{name}: {outcome.state}: {outcome.reason}{made}")
    right = sum(outcome.state == "right" for outcome in outcomes)
    return [*lines, f"{right} of {len(outcomes)} files are there with the stated sha256"]


def main(arguments: list[str] | None = None, *, table: Path = TABLE, opener: Opener = download) -> int:
    """Fetch or check, say which files are not right, and give the exit code."""
    parser = argparse.ArgumentParser(description="Fetch the public test data, or check a folder that holds it.")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--out", type=Path, metavar="FOLDER", help="download into this folder")
    action.add_argument("--check", type=Path, metavar="FOLDER", help="verify this folder without the network")
    chosen = parser.parse_args(arguments)
    sources = read_table(table)
    outcomes = check_folder(chosen.check, sources) if chosen.check else fetch(sources, chosen.out, opener)
    print("\n".join(describe(outcomes)))
    return 1 if any(is_failure(outcome) for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
