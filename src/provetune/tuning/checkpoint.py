"""Checkpoints that survive a kill at any moment.

A checkpoint is a folder of safetensors and JSON files with a manifest of their SHA-256, written last.
It is built beside its final place, flushed to disk and renamed, so that it exists whole or not at all;
reading scans back to the newest one whose manifest verifies.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

MANIFEST = "manifest.json"
Tensors = dict[str, torch.Tensor]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flush(path: Path) -> None:
    """Wait until a file or folder is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class Checkpoint:
    """One verified checkpoint folder."""

    path: Path
    step: int

    def state(self) -> dict[str, Any]:
        """The loop's counters and history at that step."""
        loaded: dict[str, Any] = json.loads((self.path / "state.json").read_text())
        return loaded

    def tensors(self, name: str) -> Tensors:
        """One of the tensor files, by name without ending."""
        return load_file(self.path / f"{name}.safetensors")


class CheckpointFolder:
    """Writes and finds checkpoints `step-000123` below one folder; keeps the newest `keep`."""

    def __init__(self, path: Path, keep: int = 2) -> None:
        self.path = path
        self.keep = keep

    def save(self, step: int, state: dict[str, Any], tensors: dict[str, Tensors]) -> Checkpoint:
        """Write one checkpoint durably, then drop those older than the newest `keep`."""
        self.path.mkdir(parents=True, exist_ok=True)
        final = self.path / f"step-{step:08d}"
        partial = self.path / f".partial-{step:08d}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        (partial / "state.json").write_text(json.dumps(state))
        for name, named in tensors.items():
            save_file({key: value.detach().cpu().contiguous() for key, value in named.items()}, partial / f"{name}.safetensors")
        files = {item.name: _sha256(item) for item in sorted(partial.iterdir())}
        for item in partial.iterdir():
            flush(item)
        (partial / MANIFEST).write_text(json.dumps({"step": step, "files": files}))
        flush(partial / MANIFEST)
        flush(partial)
        if final.exists():
            shutil.rmtree(final)
        partial.rename(final)
        flush(self.path)
        for old in self._folders()[self.keep :]:
            shutil.rmtree(old)
        return Checkpoint(final, step)

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that verifies, or None; damaged ones are passed over."""
        for folder in self._folders():
            step = self._verified_step(folder)
            if step is not None:
                return Checkpoint(folder, step)
        return None

    def _folders(self) -> list[Path]:
        return sorted(self.path.glob("step-*"), reverse=True)

    @staticmethod
    def _verified_step(folder: Path) -> int | None:
        try:
            manifest = json.loads((folder / MANIFEST).read_text())
            if all(_sha256(folder / name) == digest for name, digest in manifest["files"].items()):
                return int(manifest["step"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return None
