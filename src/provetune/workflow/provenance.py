"""The record of where the rows came from and what became of them, from the first file to each training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from provetune.errors import EvidenceError
from provetune.hashing import fingerprint
from provetune.languages import language_of
from provetune.records.augmentation import AugmentationReport
from provetune.records.candidate import TrainingRun
from provetune.records.data import Example, Split
from provetune.records.fixes import FixPlan
from provetune.records.provenance import UNEXPLAINED, Change, Provenance, Source, TrainingRows
from provetune.store import StepKey
from provetune.workflow.augment_arm import SUFFIX
from provetune.workflow.project import ORIGIN, Project

_LICENCE_COLUMNS = ("licence", "license")
_LEAKED = "equal or nearly equal to a row of the test file"
_MOST_KINDS = 50


def provenance(
    project: Project, split: Split, runs: Sequence[TrainingRun] = (), augmentation: AugmentationReport | None = None
) -> Provenance:
    """Sources and changes of the project's rows under this split and in these trainings, kept as a record of the run."""

    def make() -> Provenance:
        parents = list(_parents(project))
        return Provenance(
            project=project.spec.name,
            dataset=project.dataset.fingerprint,
            sources=(*(plan.source for plan in parents if plan.source is not None), *project.sources),
            changes=tuple(_changes(project, split, parents)),
            trainings=tuple(_training(split, run, augmentation) for run in runs),
            languages=_commonest(language_of(example.prompt_text or example.target) or "not told" for example in project.examples),
            row_licences=_commonest(filter(None, map(_own_licence, project.examples))),
            made=sum(example.synthetic for example in project.examples),
            collected=project.spec.data.collected,
        )

    inputs = {
        "dataset": project.dataset.fingerprint,
        "sources": fingerprint([source.model_dump(mode="json") for source in project.sources]),
        "split": split.fingerprint,
        "runs": fingerprint([run.fingerprint for run in runs]),
        "augmentation": "" if augmentation is None else augmentation.fingerprint,
        "spec": fingerprint([project.spec.name, project.spec.data.collected, project.spec.task.system]),
    }
    return project.store.once(StepKey("provenance", 1, inputs), Provenance, make)


def _parents(project: Project) -> Iterator[FixPlan]:
    """What `audit --fix` did to reach the project's rows, oldest first."""
    found: list[FixPlan] = []
    wanted, path = project.dataset.fingerprint, project.spec.data.path
    while (plan := _origin(project.folder / path)) is not None and plan.written is not None and plan.written.fingerprint == wanted:
        found.append(plan)
        if plan.source is None:
            break
        wanted, path = plan.dataset, plan.source.path
    yield from reversed(found)


def _origin(file: Path) -> FixPlan | None:
    try:
        return FixPlan.from_json(file.with_name(file.name + ORIGIN).read_text(encoding="utf-8"))
    except (OSError, ValueError, EvidenceError):
        return None


def _changes(project: Project, split: Split, parents: Sequence[FixPlan]) -> Iterator[Change]:
    for plan in parents:
        if plan.source is not None:
            yield _read(plan.source)
        yield Change(
            step="audit --fix" + (f" of {plan.source.path}" if plan.source is not None else ""),
            rows_in=plan.rows_before,
            rows_out=plan.rows_after,
            removed={fix.name.replace("_", " "): fix.count for fix in plan.fixes if fix.removes},
            altered={fix.name.replace("_", " "): fix.count for fix in plan.fixes if not fix.removes},
        )
    system = project.spec.task.system
    told = sum(example.messages[0].content == system for example in project.examples) if system else 0
    yield _read(project.sources[0], {"begin with the system line of task.system": told} if told else {})
    moved = {"validation": len(split.validation_ids)}
    if not split.test_given:
        moved["test, sealed"] = len(split.test_ids)
    removed = Counter(_LEAKED if reason.startswith("stands in the test file") else reason for reason in split.left_out.values())
    yield Change(step="split", rows_in=len(project.examples), rows_out=len(split.train_ids), removed=dict(removed), moved=moved)


def _read(source: Source, altered: dict[str, int] | None = None) -> Change:
    whole = {one.reason: one.rows for one in source.left_out if one.whole}
    parts = {f"without {one.reason}": one.rows for one in source.left_out if not one.whole}
    return Change(
        step=f"read {source.path}", rows_in=source.rows, rows_out=source.examples, removed=whole, altered={**parts, **(altered or {})}
    )


def _training(split: Split, run: TrainingRun, augmentation: AugmentationReport | None) -> TrainingRows:
    """Rows beyond what the records explain are shown as such: the numbers of a run are never refused at its end."""
    name = Path(run.weights_folder).name
    added = {"augmentation": augmentation.kept} if augmentation is not None and SUFFIX in name else {}
    given = run.rows_used + run.rows_left_out
    beyond = given - len(split.train_ids) - sum(added.values())
    removed = {UNEXPLAINED: -beyond} if beyond < 0 else {}
    if beyond > 0:
        added[UNEXPLAINED] = beyond
    altered = {f"targets: {what}": count for what, count in run.rewritten.items() if count}
    said = {"added": added, "removed": removed, "altered": altered}
    other = Change(step="rows for this training", rows_in=len(split.train_ids), rows_out=given, **said)
    longer = {"longer than train.max_length or the model's context": run.rows_left_out} if run.rows_left_out else {}
    tokens = Change(step="to tokens", rows_in=given, rows_out=run.rows_used, removed=longer)
    both = run.rows_used + sum(run.beside.values()) - sum(run.beside_left_out.values())
    texts = Change(step="texts beside the rows", rows_in=run.rows_used, rows_out=both, added=run.beside, removed=run.beside_left_out)
    changes = (*([other] if any(said.values()) else []), tokens, *([texts] if run.beside else []))
    return TrainingRows(name=name, changes=changes, tokens=run.tokens_seen, supervised_tokens=run.labelled_tokens_seen)


def _own_licence(example: Example) -> str:
    found = next((example.meta[name] for name in _LICENCE_COLUMNS if example.meta.get(name, "").strip()), None)
    nested = example.extra.get("meta")
    if found is None and isinstance(nested, dict):
        found = next((str(nested[name]) for name in _LICENCE_COLUMNS if nested.get(name)), None)
    return (found or "").strip()


def _commonest(names: Iterable[str]) -> dict[str, int]:
    """Counts, commonest first; what is beyond 50 is one entry."""
    counts = Counter(names).most_common()
    rest = sum(count for _, count in counts[_MOST_KINDS:])
    return {**dict(counts[:_MOST_KINDS]), **({f"{len(counts) - _MOST_KINDS:,} others": rest} if rest else {})}
