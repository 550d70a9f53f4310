"""What the user wants: the project file as a tree of frozen models. `text.load_spec` reads it from YAML.

A key marked `NOT_YET` is accepted
by the models but refused by `load_spec` as long as nothing acts on it: a setting is never ignored in silence.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from provetune.records.candidate import PARTS, Calibration, Pick, strategy_name
from provetune.records.prompt_search import SEARCHED
from provetune.spec.data import AuditSpec, DataSpec
from provetune.spec.endpoint import EndpointSpec
from provetune.spec.metrics import Measured, Metric, metric_fault
from provetune.spec.parts import (
    NOT_YET,
    AugmentSpec,
    Auto,
    Count,
    FairnessSpec,
    Names,
    PromptsSpec,
    RobustnessSpec,
    RuleSpec,
    SearchSpec,
    ShipSpec,
    SpecPart,
    ValueSpec,
    WatchSpec,
    as_list,
    under,
)
from provetune.spec.train import TrainSpec

TaskType = Literal["classify", "extract", "generate", "chat"]
_ANY_NAME = WithJsonSchema({"anyOf": [{"enum": list(PARTS)}, {"type": "string"}]})
StrategyName = Annotated[str, AfterValidator(strategy_name), _ANY_NAME]
Tracker = Literal["none", "trackio", "wandb", "mlflow", "tensorboard"]


def _against(value: Any) -> Any:
    return value if value == "best-baseline" else as_list(value)


def _folds(value: int) -> int:
    if value != 0 and not 5 <= value <= 20:
        raise ValueError(f"found {value} folds, wanted 5 to 20, or 0 for a test split")
    return value


def _untracked() -> list[Tracker]:
    return ["none"]


Trackers = Annotated[list[Tracker], BeforeValidator(as_list, json_schema_input_type=list[Tracker] | Tracker)]
Against = Annotated[list[str] | Literal["best-baseline"], BeforeValidator(_against, json_schema_input_type=list[str] | str)]


class BaseSpec(SpecPart):
    """The base model: `starter`, a folder or a hub name, and its revision.

    `licence` is what you found its licence to be where the model does not say; `licences_allowed` are those that a base may be under.
    """

    model: str = Field(default="starter", min_length=1)
    revision: str = "main"
    trust_remote_code: Annotated[bool, NOT_YET] = False
    licence: str | None = Field(default=None, min_length=1)
    licences_allowed: Annotated[list[str] | None, BeforeValidator(as_list, json_schema_input_type=list[str] | str | None)] = None


class TaskSpec(SpecPart):
    """What is to be written for each example. The key of `schema_file` is `schema`: a JSON Schema that the audit holds targets against.

    `descriptions` say of labels what they mean, for strategies with `described`.
    """

    type: TaskType
    labels: Auto | list[str] = "auto"
    descriptions: dict[str, str] = Field(default_factory=dict)
    system: str | None = None
    max_new_tokens: Count | Auto = "auto"
    schema_file: str | None = Field(default=None, alias="schema")


def _is_strategy(name: Any) -> bool:
    try:
        return isinstance(name, str) and strategy_name(name) == name
    except ValueError:
        return False


class BaselineSpec(SpecPart):
    """A prompt to beat: a strategy, and where it has them its shots, its role, and room for thoughts in tokens.

    `called` is a name of its own, so that a strategy may be given twice. A model behind an `endpoint` is prompted zero-shot.
    """

    name: StrategyName
    k: Count = 8
    pick: Pick = "balanced"
    order: Literal["auto", "drawn", "reversed"] = "auto"
    role: str | None = None
    reasoning: Count = 128
    endpoint: Annotated[EndpointSpec | None, BeforeValidator(under("url"), json_schema_input_type=EndpointSpec | str | None)] = None
    called: str | None = None
    model: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_of_endpoint(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("endpoint") and not _is_strategy(value.get("name")):
            return {"called": value.get("name"), **value, "name": "zero-shot"}
        return value

    @model_validator(mode="after")
    def _endpoint_for_its_keys(self) -> Self:
        if self.endpoint is None and self.model:
            raise ValueError("'model' is for a model behind an 'endpoint'")
        if self.endpoint is not None and not (self.model and re.fullmatch(r"\w[\w .-]*", self.called or "")):
            raise ValueError("an 'endpoint' needs its 'model' and a name of its own in 'called' (letters, digits, blanks, '.', '-', '_')")
        if _is_strategy(self.called) or self.called == "linear" or (self.called or "").startswith("tuned-"):
            raise ValueError(f"called: {self.called!r} is the name of another candidate; take a different one")
        return self


class ProveSpec(SpecPart):
    """What counts as better: metric, the baselines to beat, by how much, at which confidence (two-sided).

    `also` names metrics that are measured and shown beside, and decide nothing. `slices` names columns of data.columns.slice, or
    `column=value`, in which the tuned model must not be worse. With `folds` (5 or more) the recipe is proven on few rows, not one artefact.
    """

    metric: Metric | None = None
    also: Annotated[list[Measured], BeforeValidator(as_list, json_schema_input_type=list[Measured] | Measured)] = Field(
        default_factory=list
    )
    against: Against = Field(default_factory=lambda: ["zero-shot", "few-shot"], min_length=1)
    margin: float = Field(default=0.02, ge=0, lt=1)
    confidence: float = Field(default=0.95, ge=0.5, lt=1)
    folds: Annotated[int, AfterValidator(_folds)] = 0
    decoding: Literal["auto", "free", "constrained", "scored"] = "auto"
    calibration: Calibration = "none"
    retention: Names = Field(default_factory=lambda: ["builtin"])
    slices: Names = Field(default_factory=list)
    fairness: FairnessSpec = FairnessSpec()
    robustness: RobustnessSpec = RobustnessSpec()
    rules: Annotated[list[RuleSpec], NOT_YET] = Field(default_factory=list)


class BudgetSpec(SpecPart):
    """Limits in US dollars and hours; none means no limit."""

    max_usd: float | None = Field(default=None, ge=0)
    max_hours: float | None = Field(default=None, gt=0)
    gpu: Annotated[str, NOT_YET] = "any"


class ProjectSpec(SpecPart):
    """The whole project file."""

    version: Literal[1]
    name: str = Field(min_length=1, max_length=100)
    owner: str = ""
    purpose: str = ""
    data: Annotated[DataSpec, BeforeValidator(under("path"), json_schema_input_type=DataSpec | str)]
    audit: AuditSpec = AuditSpec()
    augment: AugmentSpec = AugmentSpec()
    base: Annotated[BaseSpec, BeforeValidator(under("model"), json_schema_input_type=BaseSpec | str)] = BaseSpec()
    task: Annotated[TaskSpec, BeforeValidator(under("type"), json_schema_input_type=TaskSpec | TaskType)]
    metric: Metric = "auto"
    baselines: list[Annotated[BaselineSpec, BeforeValidator(under("name"), json_schema_input_type=BaselineSpec | str)]] = Field(
        default_factory=list
    )
    prompts: PromptsSpec = PromptsSpec()
    train: TrainSpec = TrainSpec()
    search: SearchSpec = SearchSpec()
    prove: ProveSpec = ProveSpec()
    value: ValueSpec = ValueSpec()
    ship: ShipSpec = ShipSpec()
    watch: WatchSpec | None = None
    budget: BudgetSpec = BudgetSpec()
    tracking: Trackers = Field(default_factory=_untracked)

    @model_validator(mode="after")
    def _agree_with_itself(self) -> Self:
        given = {metric for metric in (self.metric, self.prove.metric) if metric not in ("auto", None)}
        if len(given) > 1:
            raise ValueError(f"metric is {self.metric} but prove.metric is {self.prove.metric}; keep one of them")
        for name, decides in (*((name, True) for name in given if name), *((name, False) for name in self.prove.also)):
            fault = metric_fault(name, self.task.type, self.task.schema_file is not None, decides=decides)
            if fault:
                raise ValueError(fault)
        for name in self.prove.slices:
            if name.split("=", 1)[0] not in self.data.columns.slice:
                raise ValueError(f"prove.slices names {name!r}, but data.columns.slice has no such column; name it there")
        named = [] if isinstance(self.prove.against, str) else self.prove.against
        searched = [SEARCHED] if self.prompts.search else []
        known = {*PARTS, "linear", *searched, *(baseline.called for baseline in self.baselines)} - {None}
        unknown = [name for name in named if name not in known and not _is_strategy(name)]
        if unknown:
            raise ValueError(f"prove.against names {unknown[0]!r}; known are {', '.join(sorted(map(str, known)))}, and parts joined by '+'")
        if self.task.type != "classify" and "linear" in self.prove.against:
            raise ValueError(f"prove.against names 'linear', which needs labels; task {self.task.type} has none")
        names = [baseline.called or baseline.name for baseline in self.baselines]
        if len(set(names)) < len(names):
            raise ValueError(f"baselines name {max(names, key=names.count)!r} twice; give one of them a name of its own ('called')")
        if (self.train.head or self.train.method == "head") and self.task.type != "classify":
            raise ValueError(f"train asks for a classification head, which needs labels; task {self.task.type} has none")
        self._decode_what_can_be()
        return self

    def _decode_what_can_be(self) -> None:
        decoding, task = self.prove.decoding, self.task
        if decoding == "scored" and task.type != "classify":
            raise ValueError(f"prove.decoding is scored, which needs labels; task {task.type} has none")
        if decoding == "constrained" and task.type != "classify" and task.schema_file is None:
            raise ValueError("prove.decoding is constrained, which needs labels or task.schema")
        if self.prove.calibration != "none" and decoding != "scored":
            raise ValueError(f"prove.calibration is {self.prove.calibration}, which needs prove.decoding: scored")


def resolve_metric(spec: ProjectSpec) -> str:
    """The metric that decides: as given, else by task: accuracy, exact_match (extract) or rouge_l (generate, chat)."""
    for metric in (spec.prove.metric, spec.metric):
        if metric is not None and metric != "auto":
            return metric
    return {"classify": "accuracy", "extract": "exact_match", "generate": "rouge_l", "chat": "rouge_l"}[spec.task.type]


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 7) of the project file, for editors; long mappings and short scalars are both valid."""
    return {"$schema": "http://json-schema.org/draft-07/schema#", **ProjectSpec.model_json_schema(mode="validation")}


def unavailable(part: SpecPart, shown: str = "") -> list[str]:
    """What the user has set (and not to its default) that this version does not act on, one line per setting."""
    found: list[str] = []
    for name, field in type(part).model_fields.items():
        value, path = part.__dict__[name], shown + (field.alias or name)
        if name not in part.model_fields_set or value == field.get_default(call_default_factory=True):
            continue
        if NOT_YET in field.metadata:
            found.append(f"{path}: not available in this version; remove it")
        elif isinstance(value, SpecPart):
            found += unavailable(value, f"{path}.")
        elif isinstance(value, list):
            found += [line for i, v in enumerate(value) if isinstance(v, SpecPart) for line in unavailable(v, f"{path}[{i}].")]
    return found
