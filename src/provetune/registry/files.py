"""Files of releases, each named by its SHA-256: written beside, forced to disk, renamed, never changed."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError, safe_open

from provetune.errors import FolderError, ModelError
from provetune.hashing import file_sha256
from provetune.records.release import ReleaseFile, inner_name
from provetune.registry.database import sync

_CODE_KEYS = ("auto_map", "trust_remote_code", "custom_pipelines")


class Files:
    """`objects/` of a registry, and the folders of releases that are laid out from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects = folder / "objects"
        self.laid_out = folder / "releases"

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Only one adds or removes objects at a time: what is being registered is never taken for left over."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "objects.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def place(self, sha256: str) -> Path:
        """Where the object with this hash is."""
        return self.objects / sha256[:2] / sha256

    def add(self, name: str, source: Path) -> ReleaseFile:
        """Take a file in; ModelError on a name or a content that is not safe to load."""
        check_file(name, source)
        digest, size = file_sha256(source), source.stat().st_size
        target = self.place(digest)
        if not (target.is_file() and file_sha256(target) == digest):
            self._copy(source, target, digest)
        return ReleaseFile(name=name, sha256=digest, bytes=size)

    def _copy(self, source: Path, target: Path, digest: str) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(target.parent).free < source.stat().st_size + 2**20:
            raise FolderError(f"{self.objects}: not enough space for {source.name}; free {source.stat().st_size / 2**20:,.0f} MiB")
        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        try:
            shutil.copyfile(source, partial)
            if file_sha256(partial) != digest:
                raise FolderError(f"{source}: changed while it was read; try again when nothing writes to it")
            partial.chmod(0o444)
            sync(partial)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        sync(target.parent)
        sync(self.objects)

    def lay_out(self, version: int, files: Sequence[ReleaseFile]) -> Path:
        """The release's files under their names, each read again and compared with its hash; FolderError where one is damaged."""
        target = self.laid_out / str(version)
        for file in files:
            if not self.intact(file):
                raise FolderError(
                    f"{self.place(file.sha256)}: {file.name} of version {version} is missing or damaged; "
                    "`provetune registry restore` looks for the same content in runs/"
                )
        whole = all((target / f.name).is_file() and (target / f.name).stat().st_size == f.bytes for f in files)
        if whole and all(file_sha256(target / file.name) == file.sha256 for file in files):
            return target
        partial = self.laid_out / f".{version}.{os.getpid()}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        for file in files:
            inside = partial / file.name
            inside.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.place(file.sha256), inside)
        shutil.rmtree(target, ignore_errors=True)
        partial.replace(target)
        return target

    def intact(self, file: ReleaseFile) -> bool:
        """Whether the object is there and holds what its name says."""
        place = self.place(file.sha256)
        return place.is_file() and place.stat().st_size == file.bytes and file_sha256(place) == file.sha256

    def remove_all_but(self, kept: set[str], versions: set[int]) -> tuple[int, int]:
        """Remove every object not in `kept` and the laid-out folders of other versions: (objects, bytes)."""
        removed, freed = 0, 0
        for item in sorted(self.objects.glob("*/*")):  # pathlib takes hidden names, too: what killed processes left over
            if item.name not in kept:
                removed, freed = removed + 1, freed + item.stat().st_size
                item.unlink()
        for folder in self.laid_out.glob("*") if self.laid_out.is_dir() else ():
            if not (folder.name.isdigit() and int(folder.name) in versions):
                shutil.rmtree(folder)
        for folder in self.laid_out.glob(".*.partial"):
            shutil.rmtree(folder, ignore_errors=True)
        return removed, freed


def check_file(name: str, source: Path) -> None:
    """ModelError, naming the file, unless it is a plain file of a kind that can be loaded without running anything."""
    try:
        inner_name(name)
    except ValueError as error:
        raise ModelError(f"{source}: {error}") from error
    if source.is_symlink() or not source.is_file():
        raise ModelError(f"{source}: found no plain file (links are not followed), wanted the file itself")
    if source.suffix == ".safetensors":
        _check_safetensors(source)
    elif source.suffix == ".json":
        _check_json(source)


def _check_safetensors(source: Path) -> None:
    try:
        with safe_open(source, framework="numpy") as tensors:
            tensors.keys()
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{source}: no whole safetensors file ({error}); train it again or restore it") from error


def _check_json(source: Path) -> None:
    try:
        content = json.loads(source.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{source}: not JSON ({type(error).__name__}); restore it") from error
    named = [key for key in _CODE_KEYS if isinstance(content, dict) and content.get(key)]
    if named:
        raise ModelError(f"{source}: found {named[0]}, which loads code beside the weights; only what transformers itself knows is taken")


def text_sha256(text: str) -> str:
    """SHA-256 of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()
