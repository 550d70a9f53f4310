"""The flow `ship`: the proven candidate of the latest run -> a registered release -> a package that gives the same texts."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from provetune.errors import EvidenceError, NotToShip
from provetune.hashing import canonical_json, file_sha256, folder_sha256
from provetune.languages import language_of
from provetune.records.data import Example, Split
from provetune.records.evaluation import Evaluation
from provetune.records.package import Form, Package
from provetune.records.provenance import Provenance
from provetune.records.release import Licence, MonitoringReference, ReferenceRow, Release
from provetune.registry import Author, Registry, plain_name
from provetune.report.hidden import redacted
from provetune.report.model_card import data_sheet_page, model_card
from provetune.serving.packages import PackageRequest, build
from provetune.serving.packages.bom import bill_of_materials
from provetune.serving.packages.commands import commands, files_beside
from provetune.serving.packages.hub import push_package as pushed
from provetune.stats.estimate import Estimate
from provetune.workflow.golden import golden_text
from provetune.workflow.project import Project
from provetune.workflow.proven import Proven, latest_proven, record_of
from provetune.workflow.redact import hidden_inputs

__all__ = ["pushed", "registered", "ship"]
_WEIGHTS = (".safetensors", ".json", ".jinja", ".model", ".txt")


def ship(project: Project, form: Form | None, author: Author, out: Path | None = None) -> tuple[Release, Package]:
    """Register the latest proven candidate and build its package in `packages/` or `out`.

    NotToShip where the decision is not to ship and no waiver is in force, EvidenceError where the project changed since the run or
    a golden prompt gives another text, FolderError where a record or file is missing.
    """
    proven = latest_proven(project.folder)
    registry = Registry(project.folder)
    if proven.decision.outcome != "ship" and not registry.has_waiver(proven.waived):
        raise NotToShip(
            f"{proven.candidate.name}: {proven.decision.sentence} Nothing was shipped. A person who answers for it all the same signs a "
            "waiver: `provetune registry waive --who NAME --why TEXT --until YYYY-MM-DD`",
            proven.decision.outcome,
        )
    project.progress("register", 0, 1)
    release = registered(project, proven, registry, author)
    project.progress("register", 1, 1)
    wanted = form or project.spec.ship.form
    if form is None and wanted == "adapter" and release.candidate.kind == "full":
        wanted = "merged"
    folder = out or project.folder / "packages" / f"{release.name}-{wanted}"
    request = PackageRequest(release, registry.folder_of(release), project.base_folder, wanted, _pages(project, proven, release))
    project.progress("package", 0, 1)
    package = build(request, folder)
    project.progress("package", 1, 1)
    return release, package


def registered(project: Project, proven: Proven, registry: Registry, author: Author) -> Release:
    """The release of what was proven, with weights, evidence, held-out rows and golden prompts; the one that is there where it is."""
    candidate, split = proven.candidate, record_of(proven, Split)
    weights = project.folder / str(candidate.weights_folder)
    if folder_sha256(weights, [".safetensors"]) != candidate.weights_sha256:
        raise EvidenceError(f"{weights}: these are not the weights that were proven; restore them, or `provetune run` again")
    if split.dataset != project.dataset.fingerprint or candidate.model != project.model:
        raise EvidenceError(
            f"{proven.run}: the data or the base model changed since this run, so it cannot be explained; "
            "undo the change, or `provetune run` again"
        )
    with tempfile.TemporaryDirectory(dir=project.folder / ".provetune") as made:
        golden, reference = Path(made) / "golden.json", Path(made) / "reference.jsonl"
        golden.write_text(golden_text(project, proven.evidence, candidate), encoding="utf-8")
        rows = list(_reference_rows(project, proven, split))
        reference.write_text("".join(canonical_json(row.model_dump(mode="json")) + "\n" for row in rows), encoding="utf-8")
        files = {f"weights/{file.name}": file for file in sorted(weights.iterdir()) if file.name.endswith(_WEIGHTS)}
        metric = proven.evidence.fixed_before_training["metric"]
        draft = Release(
            version=1,
            project=plain_name(project.spec.name),
            candidate=candidate,
            outcome=proven.decision.outcome,
            decision=proven.decision.fingerprint,
            evidence_sha256=file_sha256(proven.evidence_file),
            template=project.model.template,
            generation=candidate.generation,
            licences=tuple(_licences(project, proven)),
            reference=MonitoringReference(
                file=reference.name, sha256=file_sha256(reference), rows=len(rows), metric=metric, error=_error(proven.on_test, metric)
            ),
            files=(),
            owner=project.spec.owner or "unknown",
            parent=registry.champion_version(),
        )
        held = {**files, "evidence.json": proven.evidence_file, reference.name: reference, golden.name: golden}
        return registry.register(draft, held, author)


def _pages(project: Project, proven: Proven, release: Release) -> Callable[[Package, Path], Mapping[str, str]]:
    """Everything that is written beside the weights, from the records, without a text of a row (but for the golden prompts)."""

    def describe(package: Package, folder: Path) -> Mapping[str, str]:
        inputs = hidden_inputs(proven.run, proven.evidence)
        return {
            "README.md": model_card(inputs, release, package, project.spec.purpose, commands(release, package, folder)),
            "DATA_SHEET.md": data_sheet_page(inputs),
            "evidence.json": redacted(proven.evidence).to_json(),
            "sbom.cdx.json": bill_of_materials(release, package, folder),
            **files_beside(release, package, project.tokenizer.render),
        }

    return describe


def _reference_rows(project: Project, proven: Proven, split: Split) -> Iterator[ReferenceRow]:
    """Validation and test rows; reading the test rows of a proof again is no new opening."""
    rows = {example.id: example for example in project.examples}
    opening = next((o for k, o in enumerate(proven.evidence.openings, start=1) if k == proven.decision.opening), None)
    yield from (_reference_row(rows[name], "validation") for name in split.validation_ids)
    if opening is not None:
        tests, _ = project.store.open_test(split.test_file, opening.model_copy(update={"row_hashes": split.test_row_hashes}))
        yield from (_reference_row(example, "test") for example in tests)


def _reference_row(example: Example, part: str) -> ReferenceRow:
    language = language_of(example.prompt_text) or "not told"
    content = {"id": example.id, "part": part, "text": example.prompt_text, "target": example.target}
    return ReferenceRow.model_validate({**content, "label": example.label, "language": language})


def _error(evaluation: Evaluation, metric: str) -> Estimate:
    """1 minus the metric, where that is a share."""
    found = evaluation.summary[metric]
    if found.value is None or found.low is None or found.high is None or not 0 <= found.value <= 1:
        return Estimate(None, None, None, found.n, found.confidence, "not measured")
    return Estimate(1 - found.value, 1 - found.high, 1 - found.low, found.n, found.confidence, found.method)


def _licences(project: Project, proven: Proven) -> Iterator[Licence]:
    yield Licence(of="base model", name=project.model.name, licence=project.model.licence)
    sheet = record_of(proven, Provenance)
    for source in sheet.sources:
        yield Licence(of=f"rows ({source.role})", name=source.path, licence=source.licence)
    for name, count in sheet.row_licences.items():
        yield Licence(of="rows that say so themselves", name=f"{count:,} rows", licence=name)
