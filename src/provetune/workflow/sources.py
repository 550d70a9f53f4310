"""What a file of examples is: its bytes, their hash, its rows, what its reader leaves out, its licence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from provetune.errors import SpecError
from provetune.formats import Notes, detect
from provetune.formats.folder import folder_parts
from provetune.formats.hub import hub_name
from provetune.formats.part import split_part
from provetune.hashing import file_sha256
from provetune.load import load
from provetune.records.data import Example, Split
from provetune.records.provenance import LeftOut, Source
from provetune.spec import DataSpec, ProjectSpec, TaskSpec
from provetune.spec.text import SPEC_FILE, load_spec

MOST_REASONS = 40
"""Reasons that are kept apart; the rarest beyond them are joined."""


def read_source(folder: Path, path: str, role: Literal["examples", "test"], spec: ProjectSpec) -> tuple[list[Example], Source]:
    """The examples of one file, folder or hub name of a project, and what is known of where they come from.

    Raises DataError as `load` does.
    """
    place, data, notes = folder / path, spec.data, Notes()
    examples = load(place, data, spec.task, notes)
    files = _files(place)
    source = Source(
        role=role,
        path=path,
        format=detect(place, data.columns) if data.format == "auto" else data.format,
        files=len(files),
        bytes=sum(file.stat().st_size for file in files),
        sha256=_sha256(files),
        rows=len(examples) + notes.rows_left_out,
        left_out=_left_out(notes),
        licence=data.licence if data.licence != "unknown" else _licence_beside(files[0]),
    )
    return examples, source


def rows_trained_on(place: Path, name: str) -> list[Example]:
    """The rows of a file, or those that an earlier project's newest run trained on: its test rows stay what it is judged by."""
    if not (place / SPEC_FILE).is_file():
        return load(place, DataSpec(path=name), TaskSpec(type="chat"))
    runs = place / "runs"
    latest = sorted((runs / "latest" / "records").glob("split-*.json"), key=lambda file: file.stat().st_mtime)
    if not latest:
        raise SpecError(f"train.replay: {name} is a project without a run; run it first, or name a file of rows")
    spec, split = load_spec(runs / "latest" / "resolved.yaml"), Split.from_json(latest[-1].read_text(encoding="utf-8"))
    rows = {example.id: example for example in read_source(place, spec.data.path, "examples", spec)[0]}
    gone = [number for number in split.train_ids if number not in rows]
    if gone:
        raise SpecError(f"train.replay: {name} has no row {gone[0]!r} any more that its newest run trained on; run it again")
    return [rows[number] for number in split.train_ids]


def _files(place: Path) -> list[Path]:
    """The files that are read: one, or those of the named part of a folder."""
    file = split_part(place)[0]
    if hub_name(place) is None and file.is_file():
        return [file]
    parts, part = folder_parts(place)
    return parts[part] if part is not None else next(iter(parts.values()))


def _sha256(files: Sequence[Path]) -> str:
    """Of a file its SHA-256; of several the SHA-256 of theirs, in order."""
    digests = [file_sha256(file) for file in files]
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _left_out(notes: Notes) -> tuple[LeftOut, ...]:
    """The reader's notes, commonest first."""
    found: list[LeftOut] = []
    for whole, counts in ((True, notes.rows), (False, notes.parts)):
        ordered = sorted(counts.items(), key=lambda item: -item[1].count)
        kept, rest = ordered[:MOST_REASONS], ordered[MOST_REASONS:]
        found += [LeftOut(reason=reason, rows=one.count, first=one.first, whole=whole) for reason, one in kept]
        if rest:
            count = sum(one.count for _, one in rest)
            found.append(LeftOut(reason=f"{len(rest):,} further reasons", rows=count, first=rest[0][1].first, whole=whole))
    return tuple(found)


def _licence_beside(file: Path) -> str:
    """The licence in `dataset_info.json`, which the datasets library writes beside its tables."""
    try:
        found = json.loads((file.parent / "dataset_info.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "unknown"
    licence = found.get("license") if isinstance(found, dict) else None
    return licence if isinstance(licence, str) and licence.strip() else "unknown"
