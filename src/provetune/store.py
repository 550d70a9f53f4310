"""The project folder: runs, records, sealed test rows, ledger. The only place that knows paths."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from provetune.errors import EvidenceError, FolderError
from provetune.hashing import canonical_json, file_sha256, fingerprint
from provetune.records.base import Record
from provetune.records.data import Example
from provetune.records.evaluation import Opening, Prediction

R = TypeVar("R", bound=Record)
STOP = "stop"
"""A file of this name in the folder of a training's checkpoints ends it; its best weights so far go on to the verdict."""


def write_atomic(path: Path, text: str) -> None:
    """Write beside, flush, rename: the file is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)  # half a file would only take the space that is missing


def need_writable(folder: Path) -> None:
    """Raise FolderError where nothing can be written below the project folder."""
    place = folder / ".provetune"
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise FolderError(
            f"{folder}: {error.strerror or error}; wanted a folder that can be written. "
            "Change its permissions, or name another with `provetune -C DIR`"
        ) from error


def lines_of(path: Path) -> list[str]:
    """Lines of a JSONL file; only a line feed ends one (a text may hold U+2028 and the like, which `str.splitlines` cuts at)."""
    lines = path.read_text(encoding="utf-8").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def predicted_texts(file: Path) -> dict[str, str | None]:
    """The completions of a file of predictions by example id; None where none came."""
    return {p.example_id: p.text for p in (Prediction.model_validate_json(line) for line in lines_of(file))}


def row_hash(example: Example) -> str:
    """Short hash of what an example says: the same row under another id, or below another system line, is the same row."""
    return fingerprint([[m.role, " ".join(m.text.split())] for m in example.messages if m.role != "system"])


def content_hash(example: Example) -> str:
    """Short hash of everything about an example but the place it was read from."""
    return fingerprint(example.model_dump(mode="json", exclude={"source"}))


def content_sha256(examples: Iterable[Example]) -> str:
    """SHA-256 over the content of examples, in order."""
    return hashlib.sha256("".join(f"{content_hash(example)}\n" for example in examples).encode()).hexdigest()


@dataclass(frozen=True)
class StepKey:
    """What decides a step's record: its name, its version, the fingerprints of its inputs."""

    step: str
    version: int
    inputs: dict[str, str]


class Store:
    """A project folder. Records go to the current run and are found again from any run."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.runs = project / "runs"
        self.sealed = project / ".provetune" / "sealed"
        self.ledger_file = project / "ledger.jsonl"
        self.run: Path | None = None

    # -- runs

    def open_run(self, key: str, *, leads: bool = True) -> Path:
        """Continue the run with this key, or begin one; `runs/latest` links to it where it `leads`. FolderError if not writable."""
        try:
            self.runs.mkdir(parents=True, exist_ok=True)
            found = sorted(self.runs.glob(f"*-{key}"))
            if found:
                run = found[-1]
            else:
                run = self.runs / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{key}"
                (run / "records").mkdir(parents=True)
            if leads or not (self.runs / "latest").exists():
                partial = self.runs / f".latest-{os.getpid()}"
                partial.unlink(missing_ok=True)
                partial.symlink_to(run.name)
                partial.replace(self.runs / "latest")
        except OSError as error:
            raise FolderError(
                f"{self.project}: {error.strerror or error}; wanted a folder that can be written. "
                "Change its permissions, or name another with `provetune -C DIR`"
            ) from error
        self.run = run
        return run

    def decided_run(self) -> Path:
        """The newest run that reached a decision, `runs/latest` first; FolderError where there is none."""
        found = (self.runs / "latest", *sorted(self.runs.glob("[0-9]*-*"), reverse=True))
        run = next((run for run in found if (run / "evidence.json").is_file()), None)
        if run is None:
            raise FolderError(f"{self.project}: found no run with a decision, wanted one; `provetune run` makes it")
        return run.resolve()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One run at a time per project; FolderError names the one that is there."""
        lock = self.project / ".provetune" / "lock"
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            lock_file = lock.open("a+")
        except OSError as error:
            raise FolderError(f"{lock.parent}: {error.strerror}; wanted a folder that can be written") from error
        with lock_file:
            try:
                fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                lock_file.seek(0)
                raise FolderError(
                    f"{self.project}: another run is active (process {lock_file.read().strip()}); wait for it or stop it"
                ) from error
            lock_file.truncate(0)
            lock_file.write(str(os.getpid()))
            lock_file.flush()
            yield

    @property
    def current(self) -> Path:
        """The run folder that `open_run` chose."""
        if self.run is None:
            raise FolderError("no run is open")
        return self.run

    def event(self, kind: str, **values: str | int | float | None) -> None:
        """Append one line to the run's events.jsonl."""
        line = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": kind, **values}
        with (self.current / "events.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

    # -- records

    def once(self, key: StepKey, kind: type[R], make: Callable[[], R], usable: Callable[[R], bool] = lambda _: True) -> R:
        """The record of a step with these inputs: read if any run of the project has a usable one, else made and saved."""
        name = f"{key.step}-{fingerprint([key.step, key.version, key.inputs, kind.SCHEMA])}.json"
        mine = self.current / "records" / name
        for file in [mine, *sorted(self.runs.glob(f"*/records/{name}"), reverse=True)]:
            found = _read_record(file, kind)
            if found is not None and usable(found):
                if file != mine:
                    write_atomic(mine, found.to_json())
                self.event("reused", step=key.step, record=name)
                return found
        self.event("started", step=key.step, record=name)
        record = make()
        write_atomic(mine, record.to_json())
        self.event("finished", step=key.step, record=name)
        return record

    def kept(self, step: str, kind: type[R], *, own: bool = True) -> list[R]:
        """Every readable record of a step in all runs, oldest first; `step` begins its name. Not `own`: in runs that began earlier."""
        files = [file for file in self.runs.glob(f"*/records/{step}*.json") if not file.parents[1].is_symlink()]  # `latest` is one of them
        earlier = [file for file in files if own or self.run is None or file.parents[1].name < self.run.name]
        found = [_read_record(file, kind) for file in sorted(earlier, key=lambda file: (file.stat().st_mtime, file.name))]
        return [record for record in found if record is not None]

    # -- rows

    def seal_rows(self, examples: Iterable[Example]) -> tuple[str, str]:
        """Store the test rows in a content-addressed file that `open_test` alone reads: (file name, SHA-256)."""
        text = "".join(canonical_json(example.model_dump(mode="json")) + "\n" for example in examples)
        digest = hashlib.sha256(text.encode()).hexdigest()
        path = self.sealed / f"{digest[:16]}.jsonl"
        if not path.exists():
            write_atomic(path, text)
        return path.name, digest

    def open_test(self, name: str, opening: Opening) -> tuple[list[Example], int]:
        """Read sealed rows. The ledger is written first; returns the rows and which opening of them this is.

        The same candidates under the same spec on the same rows are one opening, however often they are read.
        """
        earlier = self.openings()
        same = [i for i, o in enumerate(earlier) if _same(o, opening)]
        before = earlier[: same[0]] if same else earlier
        mine = set(opening.row_hashes)
        number = 1 + sum(bool(mine & set(o.row_hashes)) for o in before)
        if not same:
            _append_line(self.ledger_file, canonical_json(opening.model_dump(mode="json")))
        return _read_examples(self.sealed / name), number

    def openings(self) -> list[Opening]:
        """The ledger, oldest first."""
        if not self.ledger_file.is_file():
            return []
        lines = lines_of(self.ledger_file)
        whole = self.ledger_file.read_bytes().endswith(b"\n")
        found = []
        for number, line in enumerate(lines, start=1):
            try:
                found.append(Opening.model_validate_json(line))
            except ValueError as error:
                if number == len(lines) and not whole:
                    continue  # half a line: the process was killed while it wrote, before any row was read
                raise FolderError(f"{self.ledger_file}:{number}: the ledger is damaged; restore it from version control") from error
        return found

    def write_predictions(self, name: str, predictions: Sequence[Prediction]) -> str:
        """Store predictions of the current run; the path from the project folder."""
        path = self.current / "predictions" / f"{name}.jsonl"
        write_atomic(path, "".join(canonical_json(p.model_dump(mode="json")) + "\n" for p in predictions))
        return str(path.relative_to(self.project))

    def keep_weights(self, folder: Path, name: str) -> Path:
        """Copy the chosen weights to `<run>/<name>`, whole or not at all."""
        target = self.current / name
        partial = target.with_name(f".{name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(folder, partial)
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
        return target


def _append_line(path: Path, line: str) -> None:
    """Append durably.

    A last line without its line feed is completed if it is whole, and dropped if a killed process left half of it: no row was
    read after it.
    """
    with path.open("a+b") as file:
        file.seek(0)
        before, feed, tail = file.read().rpartition(b"\n")
        if tail and _is_opening(tail):
            file.write(b"\n")
        else:
            file.truncate(len(before) + len(feed))
        file.write(line.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _is_opening(line: bytes) -> bool:
    try:
        Opening.model_validate_json(line)
    except ValueError:
        return False
    return True


def _read_record(file: Path, kind: type[R]) -> R | None:
    """A saved record; None where there is none or where it is damaged."""
    try:
        return kind.from_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, EvidenceError):
        return None


def stop_trainings(run: Path) -> list[str]:
    """Ask what trains in this run to stop and keep its best weights; the names of the trainings. They are gone once that is done."""
    trainings = [folder for folder in sorted((run / "checkpoints").glob("*")) if folder.is_dir()]
    for folder in trainings:
        (folder / STOP).touch()
    return [folder.name for folder in trainings]


def records_in(run: Path, kind: type[R]) -> list[R]:
    """The records of a kind that a run folder holds, by file name; damaged ones are left out."""
    found = (_read_record(file, kind) for file in sorted((run / "records").glob("*.json")))
    return [record for record in found if record is not None]


def _same(a: Opening, b: Opening) -> bool:
    return (a.spec, a.test_sha256, a.candidates) == (b.spec, b.test_sha256, b.candidates)


def _read_examples(path: Path) -> list[Example]:
    if not path.is_file():
        raise FolderError(f"{path}: rows file is missing; run `provetune run` again to rebuild it")
    expected = path.stem
    if not file_sha256(path).startswith(expected):
        raise FolderError(f"{path}: content does not match its name; delete the file and run `provetune run` again")
    return [Example.model_validate_json(line) for line in lines_of(path)]
