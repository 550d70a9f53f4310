"""What a learning curve trains, outside the main flow: the base model, or the linear classifier in its place; each with its score."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from provetune.chat import encode_training
from provetune.hashing import fingerprint
from provetune.models.linear import LinearClassifier
from provetune.models.locate import tuned_folder
from provetune.models.shapes import read_shape
from provetune.planning.hyperparameters import Hyperparameters, choose_hyperparameters
from provetune.planning.request import Hardware, ModelShape, PlanRequest
from provetune.records.candidate import Candidate, GenerationSettings, Method, Plan
from provetune.records.data import Example
from provetune.records.evaluation import Evaluation
from provetune.scoring import Yardstick, measure
from provetune.store import content_sha256
from provetune.workflow import steps
from provetune.workflow.project import Project, environment
from provetune.workflow.subsets import nested_order
from provetune.workflow.yardstick import yardstick_of

if TYPE_CHECKING:
    from provetune.tuning import TuneRequest

LOOK_ROWS = 100
"""Validation rows by which the best epoch of a training is chosen; the score is taken once, at the end, on all of them."""


@dataclass(frozen=True)
class StandIn:
    """The linear classifier in place of trainings: seconds instead of hours, and only a proxy."""

    labels: tuple[str, ...]
    settings: GenerationSettings
    validation: Sequence[Example]
    name: ClassVar[str] = "linear"
    proxy: ClassVar[bool] = True

    @property
    def key(self) -> str:
        """All that decides the numbers, beside the training rows."""
        return fingerprint([self.name, list(self.labels), content_sha256(self.validation)])

    def measured(self, rows: Sequence[Example], draw: int) -> Evaluation:
        """Fit on `rows`, score on all validation rows."""
        candidate = steps.linear_candidate(rows, self.settings)
        yardstick = Yardstick("classify", self.labels, "validation")
        return measure(candidate, LinearClassifier(rows), self.validation, yardstick, lambda *_: None)[0]


@dataclass(frozen=True)
class Trainings:
    """Trains the base model on any rows by the project's own rules, and measures what came out on the same validation rows.

    A training that takes longer than `max_seconds` ends there, with the best weights so far.
    """

    project: Project
    plan: Plan
    settings: GenerationSettings
    validation: Sequence[Example]
    max_seconds: float = float("inf")
    proxy: ClassVar[bool] = False

    @property
    def method(self) -> Method:
        """The first method of the plan."""
        return self.plan.chosen[0]

    @property
    def name(self) -> str:
        """Name of the candidates."""
        return f"tuned-{self.method}"

    @property
    def key(self) -> str:
        """All that decides the numbers, beside the training rows and the draw."""
        recipe = [self.method, self.plan.hyperparameters[self.method], self.project.spec.train.model_dump(mode="json")]
        model = self.project.model.model_dump(mode="json")
        return fingerprint([recipe, model, self.settings.model_dump(mode="json"), content_sha256(self.validation)])

    def measured(self, rows: Sequence[Example], draw: int) -> Evaluation:
        """Train on `rows` with the draw's seed and score on all validation rows; a killed call goes on where it was."""
        folder = self.project.store.current / "aside" / fingerprint([self.key, content_sha256(rows), draw])
        found = train_and_score(self._request(rows, draw, folder), self.validation)
        shutil.rmtree(folder, ignore_errors=True)
        return found

    def _request(self, rows: Sequence[Example], draw: int, folder: Path) -> TuneRequest:
        from provetune.tuning import TuneRequest

        project, full = self.project, self.method == "full"
        return TuneRequest(
            method=self.method,
            base_folder=project.base_folder,
            model=project.model,
            tokenizer=project.tokenizer,
            template=Candidate(name=self.name, kind="full" if full else "adapter", prompt=steps.PLAIN, generation=self.settings),
            train=rows,
            validation=nested_order(self.validation, 0)[:LOOK_ROWS],
            yardstick=yardstick_of(project, "validation"),
            metric=project.metric,
            hyperparameters=self._hyperparameters(rows),
            seed=project.spec.train.seeds[0] + draw,
            checkpoints=folder / "checkpoints",
            out=folder / "weights",
            max_seconds=self.max_seconds,
            environment=environment(),
            progress=project.progress,
            start=tuned_folder(project.folder, project.spec.train.start, self.method),
        )

    def _hyperparameters(self, rows: Sequence[Example]) -> Hyperparameters:
        """What the plan's rules give for so many rows; the length limit is that of all rows."""
        project = self.project
        request = PlanRequest(
            model=project.model,
            shape=ModelShape(**read_shape(project.base_folder)),
            train=project.spec.train,
            budget=project.spec.budget,
            row_lengths=[len(encode_training(e.messages, project.tokenizer, e.source)) for e in rows],
            test_rows=0,
            hardware=Hardware("not asked", 0.0, "cpu", None),
        )
        values, _ = choose_hyperparameters(request, self.method)
        return {**values, "max_length": self.plan.hyperparameters[self.method]["max_length"]}


def train_and_score(request: TuneRequest, rows: Sequence[Example]) -> Evaluation:
    """Train, score the best weights on `rows`, delete weights and checkpoints. A killed call goes on from its newest checkpoint."""
    from provetune.models.transformers import TransformersGenerator, load_model
    from provetune.tuning import tune

    made = tune(request)
    model = load_model(request.out) if request.method == "full" else load_model(request.base_folder, request.out)
    candidate = request.template.model_copy(update={"model": request.model, "weights_sha256": made.weights_sha256})
    found, _ = measure(candidate, TransformersGenerator(model, request.tokenizer), rows, request.yardstick, request.progress)
    for folder in (request.out, request.checkpoints):
        shutil.rmtree(folder, ignore_errors=True)
    return found
