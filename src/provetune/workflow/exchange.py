"""What `export` does: a file of examples in, the same examples in another format out, with a count of what that cannot hold."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from provetune.errors import DataError, FolderError, SpecError
from provetune.formats import WRITERS, Notes, RawRow
from provetune.formats.columns import Ask, choose_columns, choose_part
from provetune.formats.part import split_part
from provetune.formats.row import example_of
from provetune.formats.text import did_you_mean
from provetune.load import guess_task, read_rows
from provetune.records.data import Example
from provetune.spec import ColumnsSpec, DataSpec
from provetune.spec.data import DataFormat
from provetune.workflow.advice import advice_at_start

TABLES = ("csv", "tsv", "xlsx", "parquet", "datasets")
"""Formats that keep the names of the columns that were read."""


@dataclass(frozen=True)
class Export:
    """What the user gave: `columns` are names of prompt and target; `source_format` is as `data.format`."""

    source: Path
    to: str
    out: Path
    source_format: str = "auto"
    columns: Mapping[str, str] = field(default_factory=dict)
    force: bool = False


@dataclass(frozen=True)
class Exported:
    """What was written, and what was left out of it: one line for each reason, with counts."""

    out: Path
    format: str
    rows: int
    left_out: tuple[str, ...]


def export_file(wanted: Export, ask: Ask) -> Exported:
    """Write the examples of a file in another format.

    Raises DataError on a file that cannot be read, and on rows that the format cannot hold (with the reasons and their counts; nothing
    is written then); SpecError on an unknown format; FolderError where the output is there already or cannot be written.
    """
    _check(wanted)
    notes, left = Notes(), Notes()
    try:
        path = choose_part(wanted.source, ask)
        named = wanted.columns if wanted.source_format != "auto" else choose_columns(path, ask, wanted.columns)
        columns = ColumnsSpec.model_validate({part: named[part] for part in ("prompt", "target") if part in named})
        data = DataSpec.model_validate({"path": str(path), "format": wanted.source_format, "columns": columns})
        rows = list(read_rows(path, data, notes))
    except (DataError, SpecError) as error:
        raise type(error)(advice_at_start(str(error))) from error
    if not rows:
        raise DataError(
            f"{wanted.source}: found 0 rows, wanted at least one example; {'; '.join(notes.lines()) or 'export the data again'}"
        )
    partial = wanted.out.with_name(f".{wanted.out.stem}.{os.getpid()}.partial{wanted.out.suffix}")
    try:
        written = WRITERS[wanted.to](partial, _examples(rows, wanted), columns if wanted.to in TABLES else ColumnsSpec(), left)
        if not left.rows:
            partial.replace(wanted.out)
    except OSError as error:
        raise FolderError(f"{wanted.out}: {error.strerror or error}; wanted a file that can be written, name another with --out") from error
    finally:
        shutil.rmtree(partial) if partial.is_dir() else partial.unlink(missing_ok=True)
    if left.rows:
        told = "; ".join(left.lines()[: len(left.rows)])
        raise DataError(
            f"{wanted.source}: {wanted.to!r} cannot hold {left.rows_left_out:,} of {len(rows):,} rows, nothing is written: {told}"
        )
    return Exported(wanted.out, wanted.to, written, tuple([*notes.lines(), *left.lines()]))


def _check(wanted: Export) -> None:
    formats = get_args(DataFormat)
    if wanted.to not in WRITERS:
        raise SpecError(f"--to: found {wanted.to!r}, wanted one of {', '.join(WRITERS)}{did_you_mean(wanted.to, WRITERS)}")
    if wanted.source_format not in formats:
        known = ", ".join(formats)
        raise SpecError(f"--from: found {wanted.source_format!r}, wanted one of {known}{did_you_mean(wanted.source_format, formats)}")
    if wanted.out.exists() and (not wanted.force or wanted.out.resolve() == split_part(wanted.source)[0].resolve()):
        raise FolderError(
            f"{wanted.out}: is there already; name another with --out, or write it anew with --force (never the file that is read)"
        )


def _examples(rows: Sequence[RawRow], wanted: Export) -> list[Example]:
    """The rows in canonical form; those of a classification with their labels."""
    examples = [example_of(row, wanted.source.name) for row in rows]
    if guess_task(rows) != "classify":
        return examples
    return [example.model_copy(update={"label": example.target.strip()}) for example in examples]
