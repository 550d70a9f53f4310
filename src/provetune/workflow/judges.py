"""What an audit looks for beyond the rows themselves: names, toxicity, texts of suites; each only where the project file names it."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from provetune.audit.inputs import ToxicityClassifier
from provetune.audit.toxicity import FolderClassifier
from provetune.errors import SpecError
from provetune.hashing import file_sha256, fingerprint, folder_sha256
from provetune.personal_data import Recogniser
from provetune.personal_data.names import load_names
from provetune.suites.retention import load_suites
from provetune.workflow.project import Project

HATECHECK_COLUMNS = frozenset({"functionality", "test_case", "label_gold"})


@dataclass(frozen=True)
class Judges:
    """What is passed into the audit beside the rows."""

    suites: Mapping[str, Sequence[str]]
    recogniser: Recogniser | None
    toxicity: ToxicityClassifier | None


def judges_key(project: Project) -> str:
    """Names all that decides what they find; nothing is loaded."""
    spec, hashes = project.spec.audit, []
    if spec.toxicity is not None:
        model, cases = (project.folder / (name or "") for name in (spec.toxicity.model, spec.toxicity.hatecheck))
        if not model.is_dir():
            raise SpecError(f"audit.toxicity: {model} is no folder; wanted a text classifier (config.json, safetensors, tokenizer)")
        hashes = [folder_sha256(model, [".safetensors", ".json"]), file_sha256(cases) if cases.is_file() else ""]
    return fingerprint([spec.names, hashes, _suites(project)])


def judges(project: Project) -> Judges:
    """Load what the project file names. Raises SpecError or ModelError where it is not there."""
    spec = project.spec.audit
    return Judges(
        suites=_suites(project),
        recogniser=None if spec.names is None else load_names(spec.names, project.folder),
        toxicity=None
        if spec.toxicity is None
        else FolderClassifier(project.folder / spec.toxicity.model, _cases(project.folder, spec.toxicity.hatecheck)),
    )


def _suites(project: Project) -> dict[str, list[str]]:
    found = load_suites(project.spec.prove.retention, project.folder)
    return {name: [item.prompt for item in items] for name, items in found.items()}


def _cases(folder: Path, name: str | None) -> Sequence[Mapping[str, str]]:
    """The rows of HateCheck's `test_suite_cases.csv`."""
    if name is None:
        return ()
    try:
        with (folder / name).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SpecError(f"audit.toxicity.hatecheck: {folder / name} cannot be read ({error}); wanted test_suite_cases.csv") from error
    missing = HATECHECK_COLUMNS - set(rows[0] if rows else ())
    if missing:
        raise SpecError(f"audit.toxicity.hatecheck: {folder / name} has no column {sorted(missing)[0]!r}; wanted test_suite_cases.csv")
    return rows
