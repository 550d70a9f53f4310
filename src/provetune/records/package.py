"""The record of a package: what was built from a release, and what was checked on it."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from provetune.records.base import Record

Form = Literal["adapter", "merged", "gguf"]


class Package(Record):
    """One folder that leaves the house. `sha256` is that of its SHA256SUMS, which names every other file.

    `dtype` is what the weights are computed in when nothing else is said. Of `golden_prompts` texts, `golden_equal` came out of the
    finished package in a fresh process as they were measured; `golden_kind` says whether these were the evaluation's own texts or,
    where a completion is held to something that no other loader knows, free ones of the same weights.
    """

    SCHEMA: ClassVar[str] = "package/1"
    release: str
    version: int
    form: Form
    folder: str
    sha256: str
    files: int
    bytes: int
    dtype: str
    stop_ids: tuple[int, ...]
    golden_prompts: int
    golden_equal: int
    golden_kind: Literal["evaluated", "free"]
    notes: tuple[str, ...] = ()
    pushed_to: str | None = Field(default=None, exclude_if=lambda value: value is None)
