"""What is trained on beside the task's rows, or in place of their targets, so that less is forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from provetune.chat import encode_training
from provetune.errors import SpecError
from provetune.evaluation.memorisation import sampled
from provetune.evaluation.retention import write_texts
from provetune.models.lazy import LazyGenerator
from provetune.protocols import Generator, Speaker
from provetune.records.candidate import PREFERENCE, Plan
from provetune.records.data import Example, Message
from provetune.similarity import find_leaks
from provetune.suites.retention import general_prompts
from provetune.workflow.endpoints import endpoint_candidates
from provetune.workflow.prepare import Prepared
from provetune.workflow.project import Project
from provetune.workflow.sources import rows_trained_on
from provetune.workflow.tuned import Recipe
from provetune.workflow.yardstick import yardstick_of

if TYPE_CHECKING:
    from provetune.tuning.forgetting import BesideTexts

HELD = 0.2
"""Share of the base's own texts among the rows of a step where KL holds the model to it."""
LEARNED = 0.1
"""Their share where they are learned again."""
GENERAL_DRAWS = 3
"""Texts written after each of the bundled requests; the rest are written after inputs of training rows."""


def prevented(project: Project, prepared: Prepared, recipe: Recipe) -> Recipe:
    """The recipe with what `train.forgetting` and `train.replay` add before a training."""
    spec = project.spec.train
    remedy = spec.forgetting.remedy
    if recipe.method == "head":
        return recipe  # its base stays as it is
    if recipe.method in PREFERENCE:
        if spec.replay is not None or remedy in ("kl", "replay", "distill"):
            raise SpecError(
                f"train.method: {recipe.method} takes no texts beside the pairs; use train.forgetting: scale, auto or none, and no replay"
            )
        return recipe
    if remedy == "kl":
        return replace(recipe, beside=own_texts(project, prepared, spec.forgetting.weight))
    if remedy == "distill":
        recipe = _distilled(project, prepared, recipe)
    if spec.replay is not None:
        return replace(recipe, beside=_replay(project))
    return replace(recipe, beside=own_texts(project, prepared, 0.0)) if remedy == "replay" else recipe


def own_texts(project: Project, prepared: Prepared, pull: float) -> BesideTexts:
    """Texts that the base itself writes after everyday requests and after the inputs of training rows."""
    from provetune.tuning.forgetting import BesideTexts

    count = project.spec.train.forgetting.texts
    general = [(Message(role="user", content=text),) for text in general_prompts()] * GENERAL_DRAWS
    own = [e.prompt_messages for e in sampled(prepared.train, max(0, count - len(general)), "texts beside")]

    told = project.reporting("base, texts to keep it by")
    talks = write_texts(cast("Speaker", prepared.base), [*general, *own][:count], project.spec.train.seeds[0], told)
    return BesideTexts(talks, HELD if pull else LEARNED, pull, {"texts that the base wrote": len(talks)})


def _replay(project: Project) -> BesideTexts:
    from provetune.tuning.forgetting import BesideTexts, drawn_from

    replay = project.spec.train.replay
    assert replay is not None
    own = [*project.examples, *(project.given_test or ())]
    counts: dict[str, int] = {}
    left_out = 0
    sources: list[list[Example]] = []
    for name in replay.source:
        rows = rows_trained_on(project.folder / name, name)
        alike = find_leaks(rows, own)
        sources.append([row for row in rows if row.id not in alike])
        counts[f"rows of {name}"] = len(rows)
        left_out += len(alike)
    mixed = drawn_from(sources, sum(map(len, sources)), project.spec.train.seeds[0])
    alike_rows = {"equal or nearly equal to rows of this task": left_out} if left_out else {}
    return BesideTexts([e.messages for e in mixed], replay.share, counts=counts, left_out=alike_rows)


def _distilled(project: Project, prepared: Prepared, recipe: Recipe) -> Recipe:
    from provetune.tuning.distillation import Rules, distilled

    spec = project.spec
    if spec.task.type == "classify":
        raise SpecError("train.forgetting: distill rewrites targets, but those of a classification are labels; use scale, kl or auto")
    given = spec.train.forgetting
    rules = Rules(recipe.settings, yardstick_of(project, "validation"), project.metric, given.teacher is None, given.at_least)
    told = project.reporting(f"targets written by {given.teacher or 'the base'}")
    rows, counts = distilled(recipe.train, _teacher(project, prepared), rules, told)
    return replace(recipe, train=rows, rewritten=counts, plan=_with_room(project, recipe, rows))


def _with_room(project: Project, recipe: Recipe, rows: Sequence[Example]) -> Plan:
    """The plan with a length limit that rewritten rows fit, too, where it was no one's wish."""
    if project.spec.train.max_length != "auto":
        return recipe.plan
    longest = max(len(encode_training(e.messages, project.tokenizer, e.source)) for e in rows)
    values = recipe.plan.hyperparameters[recipe.method]
    limit = min(max(longest, int(values["max_length"])), project.tokenizer.context_length)
    changed = {**recipe.plan.hyperparameters, recipe.method: {**values, "max_length": limit}}
    return recipe.plan.model_copy(update={"hyperparameters": changed})


def _teacher(project: Project, prepared: Prepared) -> Generator:
    name = project.spec.train.forgetting.teacher
    if name is None:
        return prepared.base
    named = [str(baseline.called) for baseline in project.spec.baselines if baseline.endpoint is not None]
    if name in named:
        return endpoint_candidates(project, {called: [] for called in named})[named.index(name)][1]
    if not (project.folder / name / "config.json").is_file():
        raise SpecError(
            f"train.forgetting.teacher: found {name!r}, wanted a model folder or a baseline with an endpoint ({named or 'none'})"
        )
    folder = project.folder / name

    def make() -> Generator:
        from provetune.models.tokenizer import FolderTokenizer
        from provetune.models.transformers import TransformersGenerator, load_model

        return TransformersGenerator(load_model(folder), FolderTokenizer(folder))

    return LazyGenerator(make)
