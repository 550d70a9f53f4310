"""All formats whose rows are JSON objects, and which of them an object is."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from functools import partial
from pathlib import Path

from provetune.formats.alpaca import ALPACA
from provetune.formats.argilla import ARGILLA
from provetune.formats.arrow import TABLES, arrow_rows
from provetune.formats.chat import CHAT
from provetune.formats.jsonl import objects
from provetune.formats.label_studio import LABEL_STUDIO
from provetune.formats.parts import BEDROCK, GEMINI
from provetune.formats.preference import PREFERENCE
from provetune.formats.prompt_completion import COMPLETION, PROMPT, PROMPT_COMPLETION
from provetune.formats.row import Notes, Place, RawRow, Reader, Writer
from provetune.formats.shape import Shape
from provetune.formats.sharegpt import SHAREGPT
from provetune.records.data import Example
from provetune.spec import ColumnsSpec

SHAPES: dict[str, Shape] = {
    "bedrock": BEDROCK,
    "vertex": GEMINI,
    "label-studio": LABEL_STUDIO,
    "argilla": ARGILLA,
    "sharegpt": SHAREGPT,
    "preference": PREFERENCE,
    "chat": CHAT,
    "prompt-completion": PROMPT_COMPLETION,
    "alpaca": ALPACA,
}
"""Name -> shape; the first that fits an object is taken."""


def shape_name(keys: Collection[str], columns: ColumnsSpec) -> str | None:
    """The format of an object with these keys; None where none fits. Keys that `columns` gives for prompt and target decide first."""
    if columns.prompt in keys and columns.target in keys:
        return "prompt-completion"
    found = next((name for name, shape in SHAPES.items() if shape.fits(keys)), None)
    if found is None and (columns.prompt or PROMPT) in keys and (columns.target or COMPLETION) in keys:
        return "prompt-completion"
    return found


def read_objects(shape: Shape, path: Path, columns: ColumnsSpec, notes: Notes | None = None) -> Iterator[RawRow]:
    """The rows of a file of objects: JSON lines, one JSON list, or a Parquet or Arrow file. Raises DataError as the shape does."""
    notes = notes or Notes()
    for line, row in arrow_rows(path, notes) if path.suffix.lower() in TABLES else objects(path):
        found = shape.read(row, Place(f"{path}:{line}", line, columns, notes))
        if found is not None:
            yield found


def write_objects(shape: Shape, path: Path, examples: Iterable[Example], columns: ColumnsSpec, notes: Notes) -> int:
    """One object a line, or one list where the name ends in `.json`. Rows that it cannot hold are noted. Returns the number written."""
    is_list, written = path.suffix.lower() == ".json", 0
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("[" if is_list else "")
        for example in examples:
            row = shape.write(example, columns, notes)
            if row is not None:
                file.write(("," if written else "") + "\n" if is_list else "")
                file.write(json.dumps(row, ensure_ascii=False) + ("" if is_list else "\n"))
                written += 1
        file.write("\n]\n" if is_list else "")
    return written


OBJECT_READERS: dict[str, Reader] = {name: partial(read_objects, shape) for name, shape in SHAPES.items()}
OBJECT_WRITERS: dict[str, Writer] = {name: partial(write_objects, shape) for name, shape in SHAPES.items()}
