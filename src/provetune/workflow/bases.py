"""Which base model to build on: candidates side by side as they stand, and a bake-off on validation rows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from provetune.chat import encode_training
from provetune.errors import HardwareTooSmall, ModelError, ProvetuneError, SpecError
from provetune.metrics import metric_named
from provetune.models.card import UNKNOWN, Card, architecture_of, safetensors_parameters
from provetune.models.hub import Found, browse_folder, browse_hub
from provetune.models.locate import model_card, tokenizer_folder
from provetune.models.tokenizer import FolderTokenizer, model_ref
from provetune.planning import plan
from provetune.planning.bases import Listed, fertility, short_list
from provetune.planning.licences import DECIDE, allowance, refusal, terms_of
from provetune.records.bases import BaseCandidate, BaseComparison
from provetune.records.candidate import PlanOption
from provetune.records.data import Example
from provetune.report.bases import bases_page
from provetune.spec import BaseSpec
from provetune.spec.text import SPEC_FILE, load_spec
from provetune.store import write_atomic
from provetune.workflow import steps
from provetune.workflow.bake_off import Bake, baked
from provetune.workflow.prepare import parted
from provetune.workflow.project import Project, begin_run, need_torch
from provetune.workflow.subsets import nested_order

FERTILITY_ROWS = 1000
"""Rows whose text is cut into tokens; more change the figures little."""


@dataclass(frozen=True)
class BasesWish:
    """What is to be compared: names (none: the short list); `bake` also trains for at most `minutes` in all, on so many rows at most."""

    names: tuple[str, ...] = ()
    bake: bool = False
    minutes: float = 10.0
    train_rows: int = 300
    validation_rows: int = 200


def compare_bases(project: Project, wish: BasesWish) -> tuple[BaseComparison, Path]:
    """Facts, licence, tokenizer, memory and price of each base, on this project's rows; with `bake` the ranking, too; and a page of it.

    A base whose licence is not allowed is refused by name before anything of it is read but its card. Test rows stay sealed.
    Raises SpecError where a name is given twice, or where no base is left.
    """
    if len(set(wish.names)) < len(wish.names):
        raise SpecError(f"--bases: found {max(wish.names, key=wish.names.count)!r} twice, wanted different models")
    if wish.bake:
        need_torch()
    with project.store.locked():
        begin_run(project)
        _, split, train, validation = parted(project)
        listed = [Listed(name, "", 0, 0) for name in wish.names] or list(short_list())
        found = [_candidate(project, one, train, len(split.test_ids)) for one in listed]
        candidates = [candidate for candidate, _ in found]
        ready = [other for _, other in found if other is not None]
        if not any(one.fertility is not None for one in candidates):
            raise SpecError("no base is left to compare: " + "; ".join(f"{one.name}: {one.note}" for one in candidates))
        allowed = project.spec.base.licences_allowed
        facts = BaseComparison(
            metric=project.metric,
            higher_is_better=metric_named(project.metric).higher_is_better,
            licences_allowed=None if allowed is None else tuple(allowed),
            candidates=tuple(candidates),
            confidence=project.spec.prove.confidence,
            sentence=_facts_sentence(candidates),
            assumptions=(
                "memory, hours and price are those of training on all training rows on this machine, by the plan's estimate",
                "licences are read off the models' own files; the table of what they ask is a summary, no legal advice",
            ),
        )
        if wish.bake:
            rows = nested_order(train, 0)[: wish.train_rows], nested_order(validation, 0)[: wish.validation_rows]
            facts = baked(facts, ready, Bake(*rows, wish.minutes))
        page = project.store.current / "bases.html"
        write_atomic(project.store.current / "records" / f"base-comparison-{facts.fingerprint}.json", facts.to_json())
        write_atomic(page, bases_page(facts))
        return facts, page


def search_bases(folder: Path, overrides: Sequence[str], where: str, most_billions: float | None) -> list[Found]:
    """Models of a folder, or of the hub whose names hold the words `where`, under the project's licences if it has a project file."""
    spec = load_spec(folder / SPEC_FILE, overrides) if (folder / SPEC_FILE).is_file() else None
    licences = None if spec is None else spec.base.licences_allowed
    place = Path(where).expanduser()
    if place.is_dir():
        return browse_folder(place, licences, most_billions)
    if where.startswith((".", "/", "~")):
        raise SpecError(f"--search {where}: found no such folder; wanted a folder of models, or words of a hub model's name")
    if os.environ.get("HF_HUB_OFFLINE"):
        raise SpecError("--search: the hub is not asked with --offline; name a folder of models")
    return browse_hub(where, licences, most_billions)


def _candidate(project: Project, listed: Listed, train: Sequence[Example], test_rows: int) -> tuple[BaseCandidate, Project | None]:
    """The facts of one base, and the project as it would be on it where its weights are here."""
    name, allowed = listed.name, project.spec.base.licences_allowed
    revision = project.spec.base.revision if name == project.spec.base.model else "main"
    offline = bool(os.environ.get("HF_HUB_OFFLINE"))
    try:
        card = model_card(name, revision, project.folder, offline=offline)
    except ModelError as error:
        if not listed.licence:
            raise
        card, unreachable = Card(listed.licence, "the short list"), str(error)
    else:
        unreachable = ""
    own = project.spec.base.licence if name == project.spec.base.model else None
    licence = own or card.licence
    stands = BaseCandidate(
        name=name,
        licence=licence,
        allowance=allowance(licence, allowed),
        terms=terms_of(licence),
        declared_data=card.datasets,
        parameters=listed.parameters or None,
    )
    refused = refusal(name, licence, allowed)
    if refused or unreachable:
        said = f"refused: {refused}" if refused else "not here, and the hub cannot be reached: its tokenizer was not tried"
        return stands.model_copy(update={"note": said}), None
    try:
        other = _on(project, BaseSpec(model=name, revision=revision, licence=own, licences_allowed=allowed), offline=offline)
        return _measured(other, stands, train, test_rows), other
    except ProvetuneError as error:
        return stands.model_copy(update={"note": f"cannot be used: {error}"}), None


def _on(project: Project, base: BaseSpec, *, offline: bool) -> Project:
    """The same project on another base. Of a hub model only the tokenizer is fetched, until it is baked."""
    folder = tokenizer_folder(base.model, base.revision, project.folder, offline=offline)
    tokenizer = FolderTokenizer(folder)
    model = model_ref(folder, base.model, base.revision, tokenizer)
    spec = project.spec.model_copy(update={"base": base})
    return replace(project, spec=spec, base_folder=folder, tokenizer=tokenizer, model=model)


def _measured(other: Project, stands: BaseCandidate, train: Sequence[Example], test_rows: int) -> BaseCandidate:
    some = list(train)[:FERTILITY_ROWS]
    lengths = [len(encode_training(e.messages, other.tokenizer, e.source)) for e in some]
    request = steps.plan_request(other, train, test_rows)
    shape = request.shape
    counted = safetensors_parameters(other.base_folder) or shape.linear_parameters + shape.head_parameters * (1 if shape.tied else 2)
    model = other.model.model_copy(update={"parameters": counted})
    note = DECIDE if stands.licence == UNKNOWN else ""
    facts = {
        "parameters": counted,
        "model": model,
        "architecture": architecture_of(other.base_folder),
        "fertility": fertility(other.tokenizer, _texts(some), lengths, other.tokenizer.context_length),
    }
    try:
        made = plan(replace(request, model=model))
    except HardwareTooSmall as error:
        return stands.model_copy(update={**facts, "fits": "does not fit", "note": str(error)})
    option: PlanOption = next(one for one in made.options if one.method == made.chosen[0])
    told = {key: getattr(option, key) for key in ("method", "fits", "memory_gib", "duration_h", "cost_usd")}
    return stands.model_copy(update={**facts, **told, "note": note})


def _texts(rows: Sequence[Example]) -> list[str]:
    return [f"{e.prompt_text} {e.target}" for e in rows]


def _facts_sentence(candidates: Sequence[BaseCandidate]) -> str:
    usable = [one for one in candidates if one.fertility is not None and one.fits != "does not fit"]
    refused = [one.name for one in candidates if one.note.startswith("refused")]
    said = f"{len(usable)} of {len(candidates)} bases can be used here"
    if refused:
        said += f"; refused for their licence: {', '.join(refused)}"
    return f"{said}. What they are worth on this task only a bake-off tells: add --bake-off."
