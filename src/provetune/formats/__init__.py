"""Readers of every outside format: a file in, rows out."""

from __future__ import annotations

from provetune.formats.chat import read_chat
from provetune.formats.delimited import read_csv
from provetune.formats.detection import detect
from provetune.formats.prompt_completion import read_prompt_completion
from provetune.formats.row import RawRow, Reader

READERS: dict[str, Reader] = {"chat": read_chat, "prompt-completion": read_prompt_completion, "csv": read_csv}
"""`data.format` -> reader."""

__all__ = ["READERS", "RawRow", "Reader", "detect"]
