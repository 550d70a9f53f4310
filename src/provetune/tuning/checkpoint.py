"""Checkpoints that survive a kill at any moment.

A checkpoint is a folder of safetensors and JSON files with a manifest of their SHA-256, written last.
It is built beside its final place, flushed to disk and renamed, so that it exists whole or not at all;
reading scans back to the newest one whose manifest verifies, and sets damaged ones aside.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from provetune.errors import Notice, RunFailed
from provetune.tuning.faults import disk_faults

MANIFEST = "manifest.json"
NEEDED = {"state.json", "weights.safetensors", "optimizer.safetensors"}
"""Without one of these, training cannot go on as if it had never stopped. There is no random state: each step is seeded by its number."""
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

    def make_room(self, checkpoint_bytes: int) -> None:
        """Raise RunFailed, before anything is trained, where the disk cannot hold the checkpoints that will be kept."""
        with disk_faults(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.path).free
        needed = checkpoint_bytes * max(1, self.keep + 1 - len(self._folders()))
        if free < needed:
            raise RunFailed(
                f"{self.path}: found {free / 2**30:.2f} GiB free, wanted {needed / 2**30:.2f} GiB for checkpoints. "
                "Free some space; the same command continues"
            )

    def save(self, step: int, state: dict[str, Any], tensors: dict[str, Tensors]) -> Checkpoint:
        """Write one checkpoint durably, then drop those older than the newest `keep`; RunFailed where the disk fails."""
        final = self.at(step).path
        partial = self.path / f".partial-{step:08d}"
        shutil.rmtree(partial, ignore_errors=True)
        try:
            with disk_faults(final):
                partial.mkdir(parents=True)
                self._write(partial, step, state, tensors)
                if final.exists():
                    shutil.rmtree(final)
                partial.rename(final)
                flush(self.path)
                for old in self._folders()[self.keep :]:
                    shutil.rmtree(old)
        finally:
            shutil.rmtree(partial, ignore_errors=True)  # half a checkpoint would only take the space that is missing
        return Checkpoint(final, step)

    @staticmethod
    def _write(folder: Path, step: int, state: dict[str, Any], tensors: dict[str, Tensors]) -> None:
        (folder / "state.json").write_text(json.dumps(state))
        for name, named in tensors.items():
            save_file({key: value.detach().cpu().contiguous() for key, value in named.items()}, folder / f"{name}.safetensors")
        files = {item.name: _sha256(item) for item in sorted(folder.iterdir())}
        for item in folder.iterdir():
            flush(item)
        (folder / MANIFEST).write_text(json.dumps({"step": step, "files": files}))
        flush(folder / MANIFEST)
        flush(folder)

    def at(self, step: int) -> Checkpoint:
        """The checkpoint of this step, which another rank has verified."""
        return Checkpoint(self.path / f"step-{step:08d}", step)

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that verifies, or None; damaged ones are set aside, with a Notice."""
        for folder in self._folders():
            step = self._verified_step(folder)
            if step is not None:
                return Checkpoint(folder, step)
            self.set_aside(folder, "is damaged")
        return None

    def set_aside(self, folder: Path, why: str) -> None:
        """Rename a checkpoint so that it is not found again, and say so."""
        aside = folder.with_name(f"aside-{folder.name}")
        with disk_faults(folder):
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
        warnings.warn(f"the checkpoint {folder} {why}: it is passed over and kept as {aside.name}", Notice, stacklevel=3)

    def _folders(self) -> list[Path]:
        return sorted(self.path.glob("step-*"), reverse=True)

    @staticmethod
    def _verified_step(folder: Path) -> int | None:
        try:
            manifest = json.loads((folder / MANIFEST).read_text())
            files = manifest["files"].items()
            if manifest["files"].keys() >= NEEDED and all(_sha256(folder / name) == digest for name, digest in files):
                return int(manifest["step"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return None
