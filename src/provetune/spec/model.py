"""What the user wants: the project file as a tree of frozen models. `text.load_spec` reads it from YAML.

Every key of the long form is known here, so that a file can be checked whole. A key marked `NOT_YET` is accepted
by the models but refused by `load_spec` as long as nothing acts on it: a setting is never ignored in silence.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from provetune.records.candidate import PARTS, Calibration, Method, Pick, strategy_name
from provetune.records.prompt_search import SEARCHED
from provetune.spec.endpoint import EndpointSpec
from provetune.spec.metrics import Measured, Metric, metric_fault
from provetune.spec.parts import (
    NOT_YET,
    AugmentSpec,
    Count,
    FairnessSpec,
    ForgettingSpec,
    HumanSpec,
    Names,
    NearDuplicatesSpec,
    PersonalDataSpec,
    PromptsSpec,
    Remedy,
    ReplaySpec,
    RobustnessSpec,
    RuleSpec,
    SearchSpec,
    Share,
    ShipSpec,
    SpecPart,
    Threshold,
    ToxicitySpec,
    ValueSpec,
    WarnOnSpec,
    WatchSpec,
    as_list,
)

Auto = Literal["auto"]
TaskType = Literal["classify", "extract", "generate", "chat"]
_ANY_NAME = WithJsonSchema({"anyOf": [{"enum": list(PARTS)}, {"type": "string"}]})
StrategyName = Annotated[str, AfterValidator(strategy_name), _ANY_NAME]
# fmt: off
DataFormat = Literal[
    "auto", "chat", "prompt-completion", "preference", "alpaca", "sharegpt", "csv", "xlsx", "parquet", "datasets",
    "label-studio", "argilla", "vertex", "bedrock",
]
# fmt: on
Variant = Literal["dora", "rslora", "pissa"]
Tracker = Literal["none", "trackio", "wandb", "mlflow", "tensorboard"]

AVAILABLE_VALUES: dict[str, tuple[str, ...]] = {
    "report.language": ("en",),
}
"""Keys of which this version acts on some values only."""


def _against(value: Any) -> Any:
    return value if value == "best-baseline" else as_list(value)


def _under(key: str) -> Any:
    return lambda value: {key: value} if isinstance(value, str) else value


def _different(values: list[int]) -> list[int]:
    if len(set(values)) < len(values):
        raise ValueError(f"found a seed twice in {values}, wanted different ones")
    return values


def _folds(value: int) -> int:
    if value != 0 and not 5 <= value <= 20:
        raise ValueError(f"found {value} folds, wanted 5 to 20, or 0 for a test split")
    return value


def _untracked() -> list[Tracker]:
    return ["none"]


Seeds = Annotated[list[int], AfterValidator(_different), BeforeValidator(as_list, json_schema_input_type=list[int] | int)]
Trackers = Annotated[list[Tracker], BeforeValidator(as_list, json_schema_input_type=list[Tracker] | Tracker)]
Against = Annotated[list[str] | Literal["best-baseline"], BeforeValidator(_against, json_schema_input_type=list[str] | str)]


class ColumnsSpec(SpecPart):
    """Names of the columns (or JSON keys) that hold each part of an example."""

    prompt: str | None = None
    target: str | None = None
    id: str | None = None
    group: str | None = None
    slice: Names = Field(default_factory=list)


class SplitSpec(SpecPart):
    """Shares of the rows for test and validation; `stratify`: target or none."""

    test: Share | Auto = "auto"
    validation: Share | Auto = "auto"
    stratify: Literal["target", "none"] = "target"
    group: str | None = None
    seed: int = 7

    @model_validator(mode="after")
    def _leave_training_rows(self) -> Self:
        if isinstance(self.test, float) and isinstance(self.validation, float) and self.test + self.validation >= 1:
            raise ValueError(f"test {self.test:g} and validation {self.validation:g} leave no training rows; their sum must be below 1")
        return self


class DataSpec(SpecPart):
    """The examples: files (relative to the project folder), format, columns, split."""

    path: str = Field(min_length=1)
    test: str | None = None
    format: DataFormat = "auto"
    columns: ColumnsSpec = ColumnsSpec()
    split: SplitSpec = SplitSpec()
    leaked_rows: Literal["leave-out", "forbid"] = "leave-out"
    licence: str = "unknown"
    collected: str = "unknown"
    near_duplicates: Annotated[NearDuplicatesSpec | None, NOT_YET] = None
    pii: PersonalDataSpec | None = None


class FailOnSpec(SpecPart):
    """Thresholds above (or, for `min_examples`, below) which the audit blocks; none takes the audit's own."""

    min_examples: Count | None = None
    truncated_share: Threshold | None = None
    leaked: Annotated[int | None, NOT_YET] = None
    invalid: Annotated[int | None, NOT_YET] = None


class AuditSpec(SpecPart):
    """When the audit blocks and when it warns; `embedding` is the folder of a static embedding model (none: TF-IDF).

    `names` is a spaCy pipeline that finds names, `toxicity` a text classifier; without them neither is looked for.
    """

    fail_on: FailOnSpec = FailOnSpec()
    warn_on: WarnOnSpec = WarnOnSpec()
    embedding: str | None = None
    names: str | None = None
    toxicity: Annotated[ToxicitySpec | None, BeforeValidator(_under("model"), json_schema_input_type=ToxicitySpec | str | None)] = None


class BaseSpec(SpecPart):
    """The base model: `starter`, a folder or a hub name, and its revision."""

    model: str = Field(default="starter", min_length=1)
    revision: str = "main"
    trust_remote_code: Annotated[bool, NOT_YET] = False
    licences_allowed: Annotated[list[str] | None, NOT_YET] = None


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
    endpoint: Annotated[EndpointSpec | None, BeforeValidator(_under("url"), json_schema_input_type=EndpointSpec | str | None)] = None
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


def _layers(text: str) -> str:
    if not re.fullmatch(r"all|\d+(-\d+)?(,\d+(-\d+)?)*", text):
        raise ValueError(f"found {text!r}, wanted all, or numbers of layers as in 0-3,7")
    return text


class LoraSpec(SpecPart):
    """Low-rank adapters: rank, scale, which linear layers (`all-linear` or names with commas), dropout.

    `layers`: decoder layers from 0 (`all`, or as in `0-3,7`); `variants` of LoRA; `plus` is the factor on B's learning rate (LoRA+).
    """

    r: Count = 16
    alpha: Count = 32
    targets: str = Field(default="all-linear", min_length=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    layers: Annotated[str, AfterValidator(_layers)] = "all"
    variants: Annotated[list[Variant], BeforeValidator(as_list, json_schema_input_type=list[Variant] | Variant)] = Field(
        default_factory=list
    )
    plus: float = Field(default=1.0, ge=1, le=100)

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if {"pissa", "dora"} <= set(self.variants):
            raise ValueError("variants name pissa and dora; what pissa changes in the base cannot be told from dora's magnitudes: keep one")
        return self


class EarlyStopSpec(SpecPart):
    """Looks at the validation split without a better score before training stops; 0 never stops."""

    patience: int = Field(default=3, ge=0)


class TrainSpec(SpecPart):
    """How weights are tuned; `auto` is decided by the plan, which gives its reasons.

    `neftune` is the strength of noise on the embeddings of training rows; `beta` is for `dpo` and `orpo`.
    """

    method: Literal["auto", Method] = "auto"
    epochs: Count | Auto = "auto"
    learning_rate: Annotated[float, Field(gt=0, le=1)] | Auto = "auto"
    batch_size: Count | Auto = "auto"
    max_length: Count | Auto = "auto"
    lora: LoraSpec = LoraSpec()
    optimizer: Literal["adamw", "adafactor"] = "adamw"
    neftune: float = Field(default=0.0, ge=0, le=100)
    beta: float = Field(default=0.1, gt=0, le=10)
    early_stop: EarlyStopSpec = EarlyStopSpec()
    seeds: Seeds = Field(default_factory=lambda: [1], min_length=1)
    loss_on: Literal["assistant"] = "assistant"
    replay: Annotated[ReplaySpec | None, BeforeValidator(_under("source"), json_schema_input_type=ReplaySpec | str | None)] = None
    forgetting: Annotated[ForgettingSpec, BeforeValidator(_under("remedy"), json_schema_input_type=ForgettingSpec | Remedy)] = (
        ForgettingSpec()
    )

    @model_validator(mode="after")
    def _one_thing_beside(self) -> Self:
        if self.replay is not None and self.forgetting.remedy == "kl":
            raise ValueError("forgetting is kl and replay is given; keep one: both are trained on beside the rows")
        return self

    @model_validator(mode="after")
    def _start_from_whole_weights(self) -> Self:
        if self.forgetting.remedy == "kl" and "pissa" in self.lora.variants:
            raise ValueError("forgetting is kl and lora.variants name pissa, which changes the base that KL holds to; keep one of them")
        if self.method == "qlora" and "pissa" in self.lora.variants:
            raise ValueError("method is qlora and lora.variants name pissa, which needs the base in its full width; use method lora")
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
    human: Annotated[HumanSpec | None, NOT_YET] = None


class BudgetSpec(SpecPart):
    """Limits in US dollars and hours; none means no limit."""

    max_usd: float | None = Field(default=None, ge=0)
    max_hours: float | None = Field(default=None, gt=0)
    gpu: Annotated[str, NOT_YET] = "any"


class ReportSpec(SpecPart):
    """Form and language of the report."""

    pdf: Annotated[bool, NOT_YET] = False
    language: str = "en"


class ProjectSpec(SpecPart):
    """The whole project file."""

    version: Literal[1]
    name: str = Field(min_length=1, max_length=100)
    owner: str = ""
    purpose: str = ""
    data: Annotated[DataSpec, BeforeValidator(_under("path"), json_schema_input_type=DataSpec | str)]
    audit: AuditSpec = AuditSpec()
    augment: AugmentSpec = AugmentSpec()
    base: Annotated[BaseSpec, BeforeValidator(_under("model"), json_schema_input_type=BaseSpec | str)] = BaseSpec()
    task: Annotated[TaskSpec, BeforeValidator(_under("type"), json_schema_input_type=TaskSpec | TaskType)]
    metric: Metric = "auto"
    baselines: list[Annotated[BaselineSpec, BeforeValidator(_under("name"), json_schema_input_type=BaselineSpec | str)]] = Field(
        default_factory=list
    )
    prompts: PromptsSpec = PromptsSpec()
    train: TrainSpec = TrainSpec()
    search: SearchSpec = SearchSpec()
    prove: ProveSpec = ProveSpec()
    value: ValueSpec = ValueSpec()
    ship: ShipSpec = ShipSpec()
    watch: Annotated[WatchSpec | None, NOT_YET] = None
    budget: BudgetSpec = BudgetSpec()
    tracking: Trackers = Field(default_factory=_untracked)
    report: ReportSpec = ReportSpec()

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


def unavailable(spec: ProjectSpec) -> list[str]:
    """What the user has set (and not to its default) that this version does not act on, one line per setting."""
    return _unavailable(spec, "", "")


def _unavailable(part: SpecPart, shown: str, key_path: str) -> list[str]:
    found: list[str] = []
    for name, field in type(part).model_fields.items():
        value, key = part.__dict__[name], field.alias or name
        if name not in part.model_fields_set or value == field.get_default(call_default_factory=True):
            continue
        path, keys = shown + key, key_path + key
        allowed = AVAILABLE_VALUES.get(keys)
        if NOT_YET in field.metadata:
            found.append(f"{path}: not available in this version; remove it")
        elif allowed is not None:
            wrong = [str(v) for v in (value if isinstance(value, list) else [value]) if v not in allowed]
            found += [f"{path}: {v!r} is not available in this version; use {' or '.join(allowed)}" for v in wrong]
        elif isinstance(value, SpecPart):
            found += _unavailable(value, f"{path}.", f"{keys}.")
        elif isinstance(value, list):
            parts = [(i, v) for i, v in enumerate(value) if isinstance(v, SpecPart)]
            found += [line for i, v in parts for line in _unavailable(v, f"{path}[{i}].", f"{keys}.")]
    return found
