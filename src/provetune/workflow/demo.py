"""The demo: the bundled example through the whole flow, or, without torch, a recording of it."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from provetune.errors import EvidenceError, FolderError
from provetune.store import need_writable
from provetune.workflow.project import SPEC_FILE

EXAMPLE = Path(__file__).parents[1] / "examples_data" / "support_tickets"
RECORDED = EXAMPLE / "recorded"
_TRAINING = ("torch", "accelerate", "peft")


def can_train() -> bool:
    """Whether the training extra is installed; nothing is imported."""
    return all(importlib.util.find_spec(package) is not None for package in _TRAINING)


def lay_out(folder: Path) -> Path:
    """Copy the example into `folder`, or go on with the one that is there; FolderError where something else is there."""
    if (folder / SPEC_FILE).is_file():
        return folder
    ours = {".provetune", RECORDED.name, *(item.name for item in EXAMPLE.iterdir())}  # an interrupted copy may be completed
    if folder.is_dir() and any(item.name not in ours for item in folder.iterdir()):
        raise FolderError(f"{folder}: found other files, wanted an empty or new folder; name another with `provetune demo --folder DIR`")
    need_writable(folder)
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(RECORDED.name, SPEC_FILE))
    shutil.copy(EXAMPLE / SPEC_FILE, folder / SPEC_FILE)  # last: a folder with it is complete
    return folder


def lay_out_recording(folder: Path, recorded: Path = RECORDED) -> tuple[Path, Path]:
    """Copy the recorded evidence and report into `folder`: (evidence, report). EvidenceError where none comes with this version."""
    names = ("evidence.json", "report.html")
    missing = [name for name in names if not (recorded / name).is_file()]
    if missing:
        raise EvidenceError(
            f"{recorded}: no recorded {' and '.join(missing)} came with this version, and nothing can be trained here. "
            "Run `pip install 'provetune[train]'`, then `provetune demo`"
        )
    target = folder / RECORDED.name
    need_writable(folder)
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copy(recorded / name, target / name)
    return target / names[0], target / names[1]
