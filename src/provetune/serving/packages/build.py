"""A package folder: built beside, replayed in a fresh process, summed up, and only then put in place. Same inputs, same bytes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provetune.errors import EvidenceError, FolderError, ModelError
from provetune.hashing import file_sha256, readable_json
from provetune.models import replay as replayer
from provetune.records.package import Form, Package
from provetune.records.release import Release

SUMS = "SHA256SUMS"
MANIFEST = "package.json"
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json", "chat_template.jinja")
_REPLAY_SECONDS = 3600


@dataclass(frozen=True)
class PackageRequest:
    """What a package is built from: `files` is the release laid out, `describe` writes the pages once the weights are there."""

    release: Release
    files: Path
    base_folder: Path
    form: Form
    describe: Callable[[Package, Path], Mapping[str, str]]


def build(request: PackageRequest, out: Path) -> Package:
    """The package of `request` in `out`, replacing what is there; whole or not at all.

    EvidenceError where a golden prompt gives another text in the finished package, ModelError where the form cannot be made.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    for left in out.parent.glob(f".{out.name}.*.partial"):
        shutil.rmtree(left, ignore_errors=True)  # of a killed process
    partial.mkdir()
    try:
        package = _filled(request, partial, out)
        _swap(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return package


def _filled(request: PackageRequest, folder: Path, out: Path) -> Package:
    golden = json.loads((request.files / "golden.json").read_text(encoding="utf-8"))
    shutil.copyfile(request.files / "golden.json", folder / "golden.json")
    shutil.copyfile(Path(replayer.__file__), folder / "replay.py")
    dtype, notes = _weights(request, folder, golden)
    found = _replayed(request, folder)
    if found["equal"] != found["prompts"]:
        first = found["differing"][0]
        raise EvidenceError(
            f"{out.name}: {found['equal']:,} of {found['prompts']:,} golden prompts give the text that was measured, wanted all; "
            f"{first['id']} gave {first['found']!r} in place of {first['wanted']!r}. Nothing was written; prove it again on this machine"
        )
    draft = Package(
        release=request.release.name,
        version=request.release.version,
        form=request.form,
        folder=out.name,
        sha256="",
        files=0,
        bytes=0,
        dtype=dtype,
        stop_ids=tuple(golden["stop_ids"]),
        golden_prompts=found["prompts"],
        golden_equal=found["equal"],
        golden_kind=golden["kind"],
        notes=tuple(notes),
    )
    for name, text in request.describe(draft, folder).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / MANIFEST).write_text(
        readable_json(draft.model_dump(mode="json", exclude={"sha256", "files", "bytes"})) + "\n", encoding="utf-8"
    )
    files, size = write_sums(folder)
    return draft.model_copy(update={"sha256": file_sha256(folder / SUMS), "files": files, "bytes": size})


def _weights(request: PackageRequest, folder: Path, golden: dict[str, Any]) -> tuple[str, list[str]]:
    """Put the weights and what they are read with into the folder: (dtype, notes)."""
    kind, held = request.release.candidate.kind, request.files / "weights"
    whole = folder / "whole" if request.form == "gguf" else folder  # a GGUF file holds its tokenizer and template itself
    whole.mkdir(exist_ok=True)
    for name in _TOKENIZER:
        if (held / name).is_file():
            shutil.copyfile(held / name, whole / name)
    if request.form == "adapter":
        if kind != "adapter":
            raise ModelError("ship.form is adapter, but all weights were tuned; ship it as merged or gguf")
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            shutil.copyfile(held / name, folder / name)
    elif kind == "adapter":
        from provetune.models.merging import save_merged

        save_merged(request.base_folder, held, whole)
    else:
        for file in (*held.glob("*.safetensors"), held / "config.json"):
            shutil.copyfile(file, whole / file.name)
    if request.form != "adapter":
        _computed_in(whole, str(golden["dtype"]))
    notes = _generation_config(whole, golden)
    if request.form == "gguf":
        from provetune.models.gguf_file import write_gguf

        count = write_gguf(whole, folder / gguf_name(request.release), request.release.name)
        shutil.rmtree(whole)
        notes.append(f"{count} tensors were read back from the GGUF file and are equal to the merged ones.")
    return str(golden["dtype"]), notes


def gguf_name(release: Release) -> str:
    """The GGUF file of a release."""
    return f"{release.name}.gguf"


def _generation_config(folder: Path, golden: dict[str, Any]) -> list[str]:
    """What ends a completion, written from the rendered template; padding never is one of these (it would never be learned to stop)."""
    stops, pad = list(golden["stop_ids"]), golden["pad_id"]
    settings: dict[str, Any] = {"do_sample": False, "eos_token_id": stops, "max_new_tokens": golden["max_new_tokens"]}
    if golden["bos_id"] is not None:
        settings["bos_token_id"] = golden["bos_id"]
    notes = []
    if pad is not None and pad not in stops:
        settings["pad_token_id"] = pad
    else:
        notes.append("The tokenizer has no token for padding beside those that end a completion: none is set, prompts go one at a time.")
    (folder / "generation_config.json").write_text(readable_json(settings) + "\n", encoding="utf-8")
    return notes


def _computed_in(folder: Path, dtype: str) -> None:
    """Loaders compute in the dtype that config.json names: the one that was measured."""
    file = folder / "config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    config.pop("torch_dtype", None)
    file.write_text(readable_json({**config, "dtype": dtype}) + "\n", encoding="utf-8")


def _replayed(request: PackageRequest, folder: Path) -> dict[str, Any]:
    """What `replay.py` of the package says, in a process of its own that knows transformers alone."""
    more = {"adapter": ["--base", str(request.base_folder)], "gguf": ["--gguf", gguf_name(request.release)], "merged": []}[request.form]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTHONPATH", None)
    command = [sys.executable, "-W", "ignore", str(folder / "replay.py"), str(folder), *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_REPLAY_SECONDS, env=environment, check=False)
    try:
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError) as error:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ModelError(f"the package cannot be loaded by transformers' own loader: {last}") from error
    return found


def write_sums(folder: Path) -> tuple[int, int]:
    """Write SHA256SUMS over every other file, by name, as `sha256sum -c` reads it; (files, bytes), itself counted."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    (folder / SUMS).write_text("".join(f"{file_sha256(folder / name)}  {name}\n" for name in names), encoding="utf-8")
    return len(names) + 1, sum((folder / name).stat().st_size for name in (*names, SUMS))


def check_sums(folder: Path) -> None:
    """EvidenceError unless every file of a package is there as it was built, and no other."""
    lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    wanted = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {SUMS}
    wrong = sorted(found ^ wanted.keys()) + sorted(name for name in found & wanted.keys() if file_sha256(folder / name) != wanted[name])
    if wrong:
        raise EvidenceError(f"{folder}: {wrong[0]} is not as it was built; build it again with `provetune ship`")


def _swap(partial: Path, out: Path) -> None:
    for path in (*(p for p in partial.rglob("*") if p.is_file()), partial):
        number = os.open(path, os.O_RDONLY)
        os.fsync(number)
        os.close(number)
    old = out.with_name(f".{out.name}.old")
    try:
        shutil.rmtree(old, ignore_errors=True)
        if out.exists():
            out.rename(old)
        partial.rename(out)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise FolderError(f"{out}: {error.strerror}; wanted a folder that can be written") from error
