"""Opening a project: the spec, the rows it names, the base model's tokenizer and identity."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from provetune import __version__
from provetune.errors import DataError, SpecError
from provetune.hashing import canonical_json, fingerprint
from provetune.load import labels_of
from provetune.models.card import UNKNOWN
from provetune.models.locate import local_folder, model_card, model_folder
from provetune.models.tokenizer import FolderTokenizer, model_ref
from provetune.planning.licences import refusal
from provetune.protocols import Progress
from provetune.records.candidate import ModelRef
from provetune.records.data import Dataset, Example
from provetune.records.fixes import FixPlan
from provetune.records.provenance import Source
from provetune.spec import BaseSpec, ProjectSpec, resolve_metric
from provetune.spec.text import SPEC_FILE as SPEC_FILE
from provetune.spec.text import load_spec
from provetune.store import Store, content_sha256, write_atomic
from provetune.workflow.sources import read_source

ORIGIN = ".origin.json"
"""Beside a data file that `audit --fix` made stands, with this ending, the record of how."""
_PACKAGES = ("numpy", "scipy", "scikit-learn", "transformers", "tokenizers", "torch", "peft", "accelerate")


@dataclass(frozen=True)
class Project:
    """A project folder with everything that is read before the first step; `sources` are its rows' files, then the given test file."""

    folder: Path
    spec: ProjectSpec
    metric: str
    store: Store
    examples: Sequence[Example]
    given_test: Sequence[Example] | None
    labels: tuple[str, ...]
    dataset: Dataset
    sources: tuple[Source, ...]
    base_folder: Path
    tokenizer: FolderTokenizer
    model: ModelRef
    progress: Progress
    overrides: tuple[str, ...] = ()

    def reporting(self, who: str) -> Progress:
        """Progress that says whose it is."""
        return lambda what, done, total: self.progress(f"{who}: {what}", done, total)

    @property
    def key(self) -> str:
        """Names the run: resolved spec, data, base model and code version."""
        given = "" if self.given_test is None else content_sha256(self.given_test)
        return fingerprint(
            [_spec_fingerprint(self.spec), self.dataset.rows_sha256, given, fingerprint(self.model.model_dump(mode="json")), __version__]
        )


def _spec_fingerprint(spec: ProjectSpec) -> str:
    # any number of devices goes on with the same run
    return fingerprint(spec.model_dump(mode="json", by_alias=True, exclude={"train": {"devices"}}))


def open_project(folder: Path, overrides: Sequence[str], progress: Progress) -> Project:
    """Read the spec and all rows; every error names file and line. Nothing is written."""
    return replace(project_of(folder, load_spec(folder / SPEC_FILE, overrides), progress), overrides=tuple(overrides))


def project_of(folder: Path, spec: ProjectSpec, progress: Progress) -> Project:
    """Read all rows that a spec names; otherwise as `open_project`."""
    examples, source = read_source(folder, spec.data.path, "examples", spec)
    sources: tuple[Source, ...] = (source,)
    given = None
    if spec.data.test is not None:
        rows, source = read_source(folder, spec.data.test, "test", spec)
        sources, given = (*sources, source), [e.model_copy(update={"id": f"test:{e.id}"}) for e in rows]
    labels: tuple[str, ...] = ()
    if spec.task.type == "classify":
        labels = labels_of(examples) if spec.task.labels == "auto" else tuple(spec.task.labels)
        _check_test_labels(given or (), labels, spec)
    base_folder, licence = _base(folder, spec.base)
    tokenizer = FolderTokenizer(base_folder, spec.train.new_tokens)
    model = model_ref(base_folder, spec.base.model, spec.base.revision, tokenizer)
    store = Store(folder)
    return Project(
        folder=folder,
        spec=spec,
        metric=resolve_metric(spec),
        store=store,
        examples=examples,
        given_test=given,
        labels=labels,
        dataset=_dataset(folder, spec.data.path, examples),
        sources=sources,
        base_folder=base_folder,
        tokenizer=tokenizer,
        model=model.model_copy(update={"licence": licence}),
        progress=progress,
    )


def _base(folder: Path, base: BaseSpec) -> tuple[Path, str]:
    """Folder and licence of the base model. One that may not be used is not even fetched."""
    offline = bool(os.environ.get("HF_HUB_OFFLINE"))
    card = model_card(base.model, base.revision, folder, offline=offline)
    if base.licence is not None and card.licence not in (UNKNOWN, base.licence):
        raise SpecError(f"base.licence: found {base.licence}, but {card.found_in} of {base.model} says {card.licence}; remove base.licence")
    licence = base.licence or card.licence
    if local_folder(base.model, folder) is None:
        refuse_licence(base, licence)
    return model_folder(base.model, base.revision, folder, offline=offline), licence


def refuse_licence(base: BaseSpec, licence: str) -> None:
    """Raise SpecError, naming both, where the project does not allow the base model's licence."""
    why = refusal(base.model, licence, base.licences_allowed)
    if why:
        raise SpecError(f"base.model: {why}")


def _dataset(folder: Path, path: str, examples: Sequence[Example]) -> Dataset:
    """The record of the rows; with parent and change where `audit --fix` made the file and nobody has touched it since."""
    found = Dataset(path=path, rows_sha256=content_sha256(examples), count=len(examples))
    origin = (folder / path).with_name(f"{Path(path).name}{ORIGIN}")
    made = FixPlan.from_json(origin.read_text(encoding="utf-8")).written if origin.is_file() else None
    return made if made is not None and made.rows_sha256 == found.rows_sha256 else found


def _check_test_labels(given: Sequence[Example], labels: tuple[str, ...], spec: ProjectSpec) -> None:
    for example in given:
        if example.label not in labels:
            raise DataError(
                f"{example.source}: the label {example.label!r} of the test file does not occur in {spec.data.path}; "
                f"wanted one of {len(labels)} labels ({', '.join(labels[:5])}, ...). Add training rows for it, or correct it"
            )


def environment() -> dict[str, str]:
    """Versions and machine, for the records."""
    found = {"provetune": __version__, "python": platform.python_version(), "platform": platform.platform()}
    found["processor"] = processor()
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def processor() -> str:
    """Name of the processor and number of cores."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{name}, {os.cpu_count()} cores"


def begin_run(project: Project, *, leads: bool = True) -> Path:
    """Open the run folder and write down what it will do: resolved spec and environment. One that only looks does not lead."""
    run = project.store.open_run(project.key, leads=leads)
    resolved = project.spec.model_dump(mode="json", by_alias=True)
    write_atomic(run / "resolved.yaml", json.dumps(resolved, indent=2, ensure_ascii=False))
    if not (run / "environment.json").is_file():
        write_atomic(run / "environment.json", json.dumps(environment(), indent=2))
    return run


def lock_split(project: Project, fixed: dict[str, str]) -> None:
    """Write split.lock: what this run may not change any more. An earlier, different lock is kept beside it."""
    lock, text = project.folder / "split.lock", canonical_json(fixed) + "\n"
    before = lock.read_text(encoding="utf-8").splitlines(keepends=True) if lock.is_file() else []
    if text not in before:
        write_atomic(lock, "".join([*before, text]))


def need_torch() -> None:
    """Raise SpecError with the remedy where the training extra is not installed."""
    try:
        importlib.metadata.version("torch")
        importlib.metadata.version("peft")
        importlib.metadata.version("accelerate")
    except importlib.metadata.PackageNotFoundError as error:
        raise SpecError(
            f"{error.name} is not installed; training and local models need it. Run `pip install 'provetune[train]'`"
        ) from error
