"""JSON lines with a prompt and a completion."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from provetune.formats.jsonl import objects, scalar_cells, text_of
from provetune.formats.row import RawRow, raw_row, single_turn
from provetune.spec import ColumnsSpec


def read_prompt_completion(path: Path, columns: ColumnsSpec) -> Iterator[RawRow]:
    """One row per line of `{"prompt": ..., "completion": ...}`; `columns` may name other keys. Texts stay untouched."""
    prompt_key, target_key = columns.prompt or "prompt", columns.target or "completion"
    for line, row in objects(path):
        where = f"{path}:{line}"
        prompt = text_of(row, prompt_key, part="prompt", where=where)
        target = text_of(row, target_key, part="completion", where=where)
        cells = scalar_cells(row, columns, where)
        yield raw_row(line, single_turn(prompt, target), cells=cells, columns=columns, used=(prompt_key, target_key))
