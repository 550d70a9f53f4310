"""What this machine has and lacks: nothing is changed, and the network is asked only on request."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import psutil
from huggingface_hub.constants import ENDPOINT

from provetune.errors import FolderError
from provetune.models.locate import STARTER
from provetune.store import need_writable
from provetune.workflow.project import environment

TRAINING_PACKAGES = ("torch", "accelerate", "peft", "safetensors")
INSTALL = "pip install 'provetune[train]'"
LEAST_MEMORY_GIB = 1.0
"""Free memory below which not even the starter model can be trained."""
_SUMS = "SHA256SUMS"


@dataclass(frozen=True)
class Diagnosis:
    """Memory and disk in GiB; texts say `ok` or what is wrong. Empty `cannot_train` means that training works."""

    versions: dict[str, str]
    cores: int
    memory_gib: float
    memory_free_gib: float
    disk_free_gib: float
    gpu: str
    missing: tuple[str, ...]
    install: str
    starter: str
    hub: str
    folder: str
    folder_writable: str
    cannot_train: str


def examine(folder: Path, *, online: bool = False) -> Diagnosis:
    """Look at packages, hardware, the starter model and the project folder; at the hub only if `online`."""
    memory = psutil.virtual_memory()
    missing = tuple(package for package in TRAINING_PACKAGES if importlib.util.find_spec(package) is None)
    free = memory.available / 2**30
    return Diagnosis(
        versions=environment(),
        cores=os.cpu_count() or 1,
        memory_gib=round(memory.total / 2**30, 1),
        memory_free_gib=round(free, 1),
        disk_free_gib=round(_disk_free(folder) / 2**30, 1),
        gpu="unknown without torch" if "torch" in missing else _gpu(),
        missing=missing,
        install=INSTALL if missing else "nothing is missing",
        starter=starter_state(STARTER),
        hub=_hub() if online else "not asked (provetune doctor --online asks)",
        folder=str(folder.resolve()),
        folder_writable=_writable(folder),
        cannot_train=_cannot_train(missing, free),
    )


def starter_state(folder: Path) -> str:
    """`ok` if the starter's files are whole, else what is wrong with the first that is not."""
    sums, weights = folder / _SUMS, folder / "model.safetensors"
    if not weights.is_file():
        return f"missing: {weights}; install provetune again"
    if not sums.is_file():
        return "ok" if _whole(weights) else f"damaged: {weights} is cut off; install provetune again"
    for line in sums.read_text(encoding="utf-8").splitlines():
        digest, _, name = line.partition(" ")
        file = folder / name.strip().lstrip("*")
        if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            return f"damaged: {file} does not have its recorded SHA-256; install provetune again"
    return "ok (every SHA-256 is the recorded one)"


def _whole(weights: Path) -> bool:
    """Whether the file is as long as its safetensors header says."""
    with weights.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        try:
            header = json.loads(file.read(size))
        except ValueError:
            return False
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    return weights.stat().st_size == 8 + size + max(ends, default=0)


def _gpu() -> str:
    from provetune.engine.machine import describe

    name, kind, memory = describe()
    return f"{name}, {memory:.0f} GiB" if kind == "gpu" and memory is not None else "none"


def _hub() -> str:
    request = urllib.request.Request(ENDPOINT, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=10):
            return f"reachable ({ENDPOINT})"
    except urllib.error.HTTPError as error:
        return f"answers with {error.code} ({ENDPOINT})"
    except OSError as error:
        return f"not reachable ({ENDPOINT}: {error}); models in folders and the starter work without it"


def _disk_free(folder: Path) -> int:
    existing = next(place for place in (folder.resolve(), *folder.resolve().parents) if place.is_dir())
    return shutil.disk_usage(existing).free


def _writable(folder: Path) -> str:
    there = (folder / ".provetune").exists()
    try:
        need_writable(folder)
    except FolderError as error:
        return str(error)
    if not there:
        (folder / ".provetune").rmdir()
    return "ok"


def _cannot_train(missing: tuple[str, ...], free_gib: float) -> str:
    if missing:
        return f"{', '.join(missing)} not installed; run {INSTALL}"
    if free_gib < LEAST_MEMORY_GIB:
        return f"only {free_gib:.1f} GiB of memory are free, wanted at least {LEAST_MEMORY_GIB:g}; close other programs"
    return ""
