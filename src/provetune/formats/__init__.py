"""Readers and writers of every outside format: a file in, rows out, and back."""

from __future__ import annotations

from functools import partial

from provetune.formats.delimited import read_csv, write_csv
from provetune.formats.detection import detect
from provetune.formats.folder import read_datasets, read_parquet, write_datasets, write_parquet
from provetune.formats.row import Notes, RawRow, Reader, Writer
from provetune.formats.shapes import OBJECT_READERS, OBJECT_WRITERS
from provetune.formats.spreadsheet import read_xlsx, write_xlsx

READERS: dict[str, Reader] = {
    **OBJECT_READERS,
    "csv": read_csv,
    "xlsx": read_xlsx,
    "parquet": read_parquet,
    "datasets": read_datasets,
}
"""`data.format` -> reader."""

WRITERS: dict[str, Writer] = {
    **OBJECT_WRITERS,
    "csv": write_csv,
    "tsv": partial(write_csv, delimiter="\t"),
    "xlsx": write_xlsx,
    "parquet": write_parquet,
    "datasets": write_datasets,
}
"""Format -> writer; what `csv` reads, `tsv` writes with tabs."""

__all__ = ["READERS", "WRITERS", "Notes", "RawRow", "Reader", "Writer", "detect"]
