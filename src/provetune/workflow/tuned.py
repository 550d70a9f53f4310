"""One tuned candidate of a run: trained or found again, its weights checked, and who answers for it."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from provetune.errors import Notice, SpecError
from provetune.hashing import fingerprint, folder_sha256
from provetune.models.lazy import LazyGenerator
from provetune.models.locate import tuned_folder
from provetune.models.responses import CachedGenerator, Identity, ResponseCache
from provetune.planning.budget import budget_left, usd_per_hour
from provetune.protocols import Generator
from provetune.records.candidate import MADE, Candidate, GenerationSettings, Method, Plan, TrainingRun
from provetune.records.data import Example
from provetune.store import StepKey, content_sha256
from provetune.workflow import steps
from provetune.workflow.project import Project, environment
from provetune.workflow.together import tuned_on_all
from provetune.workflow.yardstick import yardstick_of

if TYPE_CHECKING:
    from provetune.tuning.forgetting import BesideTexts


@dataclass(frozen=True)
class Recipe:
    """What one training of a run is made of; `trainings` share the time that the budget allows.

    `beside` is trained on beside the rows, `rewritten` counts targets of `train` that another model wrote. Without a `seed` it
    is the project's first.
    """

    name: str
    method: Method
    plan: Plan
    settings: GenerationSettings
    train: Sequence[Example]
    validation: Sequence[Example]
    trainings: int
    beside: BesideTexts | None = None
    rewritten: Mapping[str, int] = field(default_factory=dict)
    seed: int | None = None


def trained(project: Project, recipe: Recipe, *, allowed: bool) -> TrainingRun:
    """The training of this recipe, made once; SpecError where it is not there and not `allowed` to be made."""
    from provetune.tuning import TuneRequest

    method, plan, store = recipe.method, recipe.plan, project.store
    candidate = Candidate(name=f"tuned-{recipe.name}", kind=MADE[method], prompt=steps.PLAIN, generation=recipe.settings)
    seed = project.spec.train.seeds[0] if recipe.seed is None else recipe.seed
    inputs = {
        "rows": fingerprint([content_sha256(recipe.train), content_sha256(recipe.validation)]),
        "recipe": fingerprint([method, plan.hyperparameters[method], seed, project.metric, candidate.fingerprint]),
        "model": fingerprint(project.model.model_dump(mode="json")),
    }
    if recipe.beside is not None:
        inputs["beside"] = recipe.beside.key
    start = tuned_folder(project.folder, project.spec.train.start, method)
    if start is not None:
        inputs["start"] = folder_sha256(start, [".safetensors"])
    checkpoints = store.current / "checkpoints" / recipe.name
    seconds, limit = budget_left(project.spec, plan, method, recipe.trainings)

    def make() -> TrainingRun:
        if not allowed:
            raise SpecError(f"{method}: nothing is trained yet with these settings and data; `provetune run` trains, with the same --set")
        request = TuneRequest(
            method=method,
            base_folder=project.base_folder,
            model=project.model,
            tokenizer=project.tokenizer,
            template=candidate,
            train=recipe.train,
            validation=recipe.validation,
            yardstick=yardstick_of(project, "validation"),
            metric=project.metric,
            hyperparameters=plan.hyperparameters[method],
            seed=seed,
            checkpoints=checkpoints,
            out=store.current / "weights" / recipe.name,
            max_seconds=seconds,
            environment=environment(),
            progress=project.progress,
            limit=limit,
            beside=recipe.beside,
            start=start,
            event=store.event,
            usd_per_hour=usd_per_hour(plan, method),
            trackers=[name for name in project.spec.tracking if name != "none"],
        )
        made = tuned_on_all(project, request)
        if made.stopped_because == limit:
            done = f"{len(made.losses):,} of {made.total_steps:,} steps of {recipe.name}"
            warnings.warn(f"{done} are done and {limit}: the best weights so far go on to the verdict", Notice, stacklevel=2)
        folder = str(Path(made.weights_folder).relative_to(project.folder))
        return made.model_copy(update={"weights_folder": folder, "rewritten": dict(recipe.rewritten)})

    found = store.once(StepKey(f"tuning-{recipe.name}", 1, inputs), TrainingRun, make, usable=lambda r: _intact(project, r))
    shutil.rmtree(checkpoints, ignore_errors=True)  # the weights are saved; what is left only serves a resume
    return found


def _intact(project: Project, training: TrainingRun) -> bool:
    """Whether the weights are the ones that were written."""
    folder = project.folder / training.weights_folder
    return folder.is_dir() and folder_sha256(folder, [".safetensors"]) == training.weights_sha256


def tuned_candidate(project: Project, training: TrainingRun, recipe: Recipe, responses: ResponseCache) -> tuple[Candidate, Generator]:
    """The candidate as it would ship: its weights read back from disk."""
    full = training.method == "full"
    candidate = Candidate(
        name=f"tuned-{recipe.name}",
        kind=MADE[training.method],
        prompt=steps.PLAIN,
        generation=recipe.settings,
        model=project.model,
        weights_folder=training.weights_folder,
        weights_sha256=training.weights_sha256,
    )
    folder = project.folder / training.weights_folder
    generator = LazyGenerator(lambda: load_generator(project, None if full else folder, folder if full else None))
    return candidate, CachedGenerator(generator, responses, identity(project, training))


def identity(project: Project, training: TrainingRun | None = None) -> Identity:
    """Who answers: the base model, or what was tuned; every file beside the weights decides an answer, too."""
    beside = folder_sha256(project.base_folder, [".json", ".jinja", ".model"])
    base, tuned = project.model.weights_sha256, "" if training is None else training.weights_sha256
    full = training is not None and training.method == "full"
    return Identity(tuned if full else base, "" if full else tuned, fingerprint([project.model.template, beside]))


def load_generator(project: Project, adapter: Path | None, full: Path | None) -> Generator:
    """The base model as it was given, with an adapter or a classification head, or fully tuned weights in its place."""
    from provetune.models.head import HEAD_FILE, Head, HeadClassifier
    from provetune.models.transformers import TransformersGenerator, load_model

    if adapter is not None and (adapter / HEAD_FILE).is_file():
        return HeadClassifier(TransformersGenerator(load_model(project.base_folder), project.tokenizer), Head.load(adapter))
    tokenizer = project.tokenizer.base if adapter is None and full is None else project.tokenizer
    return TransformersGenerator(load_model(full or project.base_folder, adapter), tokenizer)


def keep_weights(project: Project, champion: Candidate) -> None:
    """Put the champion's weights where a user looks for them: `<run>/adapter`, `<run>/model` or `<run>/head`."""
    name = {"full": "model", "head": "head"}.get(champion.kind, "adapter")
    kept = project.store.current / name
    if champion.weights_folder is not None and not (kept.is_dir() and folder_sha256(kept, [".safetensors"]) == champion.weights_sha256):
        project.store.keep_weights(project.folder / champion.weights_folder, name)
