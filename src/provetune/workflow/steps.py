"""Each step of the flow as one call: what it takes from the project, and the key under which its record is kept."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

import psutil

from provetune.audit import AuditInput, audit
from provetune.chat import TokenRow, encode_training_rows
from provetune.errors import AuditBlocked
from provetune.hashing import fingerprint
from provetune.models.embedding import embedder
from provetune.models.shapes import read_shape
from provetune.personal_data import checked
from provetune.planning import Hardware, ModelShape, PlanRequest, plan
from provetune.planning.measured import corrected
from provetune.protocols import Generator
from provetune.records.candidate import Candidate, GenerationSettings, Plan, Prompt
from provetune.records.data import AuditReport, Example, Split
from provetune.records.evaluation import Evaluation, Part
from provetune.scoring import measure
from provetune.similarity import alike, find_leaks
from provetune.split import split
from provetune.stats.power import EXPECTED_DISCORDANCE, smallest_provable_gain
from provetune.store import StepKey, content_sha256, row_hash
from provetune.workflow.judges import judges, judges_key
from provetune.workflow.measured import measurements
from provetune.workflow.project import Project, processor
from provetune.workflow.reviewed import reviewed_labels
from provetune.workflow.yardstick import json_schema, yardstick_key, yardstick_of

NVIDIA = Path("/proc/driver/nvidia/version")
PLAIN = Prompt(strategy="plain")
"""What tuned and linear candidates are sent: the example as it is."""


LABEL_ERRORS_UP_TO = 20_000
"""Rows up to which wrong labels are looked for without being asked: it takes a training of five linear classifiers."""


def audit_project(project: Project, *, label_errors: bool = False) -> AuditReport:
    """Review of the training file, under the base model's own tokenizer and template; `label_errors` asks for the slow search."""
    data = project.spec.data
    checked(data.pii.kinds if data.pii is not None else ())
    label_errors = label_errors or len(project.examples) <= LABEL_ERRORS_UP_TO
    schema, reviewed = json_schema(project), reviewed_labels(project)
    vectors = embedder(None if project.spec.audit.embedding is None else project.folder / project.spec.audit.embedding)
    inputs = {
        "dataset": project.dataset.rows_sha256,
        "test": content_sha256(project.given_test or ()),
        "model": fingerprint(project.model.model_dump(mode="json")),
        "spec": fingerprint([project.spec.audit.model_dump(mode="json"), project.spec.task.model_dump(mode="json"), data.leaked_rows]),
        "meaning": fingerprint([vectors.name, label_errors, schema, reviewed.wrong]),
        "agreement": "" if reviewed.agreement is None else reviewed.agreement.fingerprint,
        "sources": fingerprint([[s.path, s.rows, [one.model_dump() for one in s.left_out]] for s in project.sources]),
        "personal_data": fingerprint(None if data.pii is None else data.pii.model_dump(mode="json")),
        "judges": judges_key(project),
    }

    def make() -> AuditReport:
        project.progress("audit", 0, 1)
        near, beside = alike(project.examples, project.progress), judges(project)
        report = audit(
            AuditInput(
                examples=project.examples,
                task=project.spec.task,
                tokenizer=project.tokenizer,
                encode=None,
                encode_rows=lambda rows: encode_training_rows(rows, project.tokenizer),
                groups=near.groups,
                alike=near,
                progress=project.progress,
                test_examples=project.given_test,
                leaked_rows=data.leaked_rows,
                fail_on=project.spec.audit.fail_on,
                tokenizer_name=project.model.name,
                embedder=vectors,
                label_errors=label_errors,
                reviewed=reviewed.wrong,
                json_schema=schema,
                personal_data=data.pii,
                sources=project.sources,
                agreement=reviewed.agreement,
                suites=beside.suites,
                recogniser=beside.recogniser,
                toxicity=beside.toxicity,
            ),
            project.dataset.fingerprint,
        )
        project.progress("audit", 1, 1)
        return report

    return project.store.once(StepKey("audit", 2, inputs), AuditReport, make)


def refuse_blocked(report: AuditReport) -> None:
    """Raise AuditBlocked, listing every blocker with its remedy."""
    if report.blockers:
        lines = [f"- {f.check}: {f.message} {f.remedy}".rstrip() for f in report.blockers]
        listed = "\n".join(lines)
        raise AuditBlocked(f"the audit found what must be mended first:\n{listed}\nRun `provetune audit` for the rows concerned")


def split_project(project: Project, report: AuditReport) -> Split:
    """Train, validation and sealed test; a given test file is sealed as it is."""
    spec = project.spec.data.split

    def make() -> Split:
        leaked = find_leaks(project.examples, project.given_test) if project.given_test is not None else {}
        numbers = {name: place for place, name in enumerate(sorted(set(report.groups.values())))}
        groups = [numbers.get(report.groups.get(e.id, ""), len(numbers) + place) for place, e in enumerate(project.examples)]
        parts = split(
            project.examples,
            spec,
            groups=groups,
            test_examples=project.given_test,
            leaked={train: f"stands in the test file as {test} (similarity {value:.2f})" for train, (test, value) in leaked.items()},
        )
        sources = ["source_id"] if any(example.source_id != example.id for example in project.examples) else []
        name, digest = project.store.seal_rows(parts.test)
        return Split(
            dataset=project.dataset.fingerprint,
            seed=spec.seed,
            strategy="given test file" if project.given_test is not None else f"grouped, stratified by {spec.stratify}",
            grouped_by=tuple(filter(None, ("near duplicates", *sources, spec.group or project.spec.data.columns.group))),
            train_ids=tuple(e.id for e in parts.train),
            validation_ids=tuple(e.id for e in parts.validation),
            test_ids=tuple(e.id for e in parts.test),
            test_file=name,
            test_sha256=digest,
            test_row_hashes=tuple(row_hash(e) for e in parts.test),
            left_out=parts.left_out,
            test_given=project.given_test is not None,
            smallest_provable_gain=smallest_provable_gain(len(parts.test), EXPECTED_DISCORDANCE),
        )

    given = content_sha256(project.given_test) if project.given_test is not None else ""
    inputs = {"audit": report.fingerprint, "spec": fingerprint(spec.model_dump(mode="json")), "test": given}
    sealed = project.store.sealed
    return project.store.once(StepKey("split", 2, inputs), Split, make, usable=lambda found: (sealed / found.test_file).is_file())


def plan_project(project: Project, parts: Split, train: Sequence[Example]) -> Plan:
    """Memory, time and money of each method, before anything is spent; corrected by what this machine measured before."""
    probes, runs = measurements(project)

    def make() -> Plan:
        return corrected(plan(plan_request(project, train, len(parts.test_ids))), probes, runs)

    train_spec = fingerprint([project.spec.train.model_dump(mode="json"), project.spec.budget.model_dump(mode="json")])
    inputs = {
        "split": parts.fingerprint,
        "model": fingerprint(project.model.model_dump(mode="json")),
        "spec": train_spec,
        "machine": fingerprint([processor(), round(psutil.virtual_memory().total / 2**30), NVIDIA.exists()]),
    }
    if probes or runs:
        inputs["measured"] = fingerprint([record.fingerprint for record in (*probes, *runs)])
    return project.store.once(StepKey("plan", 1, inputs), Plan, make)


def plan_request(project: Project, train: Sequence[Example], test_rows: int) -> PlanRequest:
    """What the plan is made from, with this machine's speed measured now."""
    return PlanRequest(
        model=project.model,
        shape=ModelShape(**read_shape(project.base_folder)),
        train=project.spec.train,
        budget=project.spec.budget,
        row_lengths=[len(row) for row in encode_training_rows(train, project.tokenizer) if isinstance(row, TokenRow)],
        test_rows=test_rows,
        hardware=_hardware(),
        pairs=sum(bool(e.rejected) for e in train),
        labels=len(project.labels),
    )


def _hardware() -> Hardware:
    memory = psutil.virtual_memory().available / 2**30
    try:
        importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return Hardware(name="this machine (speed not measured, torch is not installed)", memory_gib=memory, kind="cpu", flops_per_s=None)
    from provetune.engine.machine import describe, measured_flops

    name, kind, gpu_memory = describe()
    return Hardware(name=name, memory_gib=gpu_memory or memory, kind=kind, flops_per_s=measured_flops())


def linear_candidate(train: Sequence[Example], settings: GenerationSettings) -> Candidate:
    """The classifier that is always shown beside, for classification: fitted on the training rows when it is asked."""
    named = settings.model_copy(update={"scored": False, "calibration": "none"})  # it names a label and says no more
    return Candidate(name="linear", kind="linear", prompt=PLAIN, generation=named, weights_sha256=content_sha256(train))


def evaluate(project: Project, candidate: Candidate, generator: Generator, examples: Sequence[Example], part: Part) -> Evaluation:
    """Measure one candidate on one part, once; its predictions go to a file of the run."""
    yardstick = yardstick_of(project, part, project.spec.prove.confidence)
    inputs = {
        "candidate": candidate.fingerprint,
        "rows": content_sha256(examples),
        "yardstick": yardstick_key(yardstick),
    }

    def make() -> Evaluation:
        found, predictions = measure(candidate, generator, examples, yardstick, project.reporting(f"{candidate.name} on {part}"))
        rows = f"-{inputs['rows'][:8]}" if project.spec.prove.folds else ""  # one prompt is then measured on several sets of rows
        file = project.store.write_predictions(f"{part}-{candidate.name}-{candidate.fingerprint[:8]}{rows}", predictions)
        return found.model_copy(update={"predictions_file": file})

    def usable(found: Evaluation) -> bool:
        """An endpoint is asked again for what it has not answered."""
        whole = candidate.kind != "endpoint" or found.not_measured == 0
        return whole and (project.folder / found.predictions_file).is_file()

    return project.store.once(StepKey("evaluation", 1, inputs), Evaluation, make, usable=usable)


def score(project: Project, evaluation: Evaluation) -> float:
    """Value of the deciding metric; below every score where nothing was measured."""
    value = evaluation.summary[project.metric].value
    return -1.0 if value is None else value
