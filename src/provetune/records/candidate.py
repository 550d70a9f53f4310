"""Records of what can be measured: models, prompts, candidates, plans, training runs."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from provetune.hashing import fingerprint
from provetune.records.base import Frozen, Record
from provetune.records.data import Message
from provetune.stats.estimate import Estimate

PARTS = ("zero-shot", "few-shot", "chain-of-thought", "role", "described")
"""What a prompting strategy is put together from."""
Decoding = Literal["free", "constrained", "scored"]
Pick = Literal["balanced", "random", "diverse", "similar"]
Calibration = Literal["none", "contextual", "batch"]
CandidateKind = Literal["prompt", "adapter", "full", "head", "linear", "endpoint", "recorded"]
Method = Literal["full", "lora", "qlora", "dpo", "orpo", "head"]
PREFERENCE: tuple[Method, ...] = ("dpo", "orpo")
"""Methods that learn from pairs of answers, one pair at a time through the model."""
MADE: dict[Method, CandidateKind] = {"full": "full", "head": "head", **dict.fromkeys(("lora", "qlora", "dpo", "orpo"), "adapter")}
"""What a method makes."""


def strategy_name(name: str) -> str:
    """The name of a prompting strategy as it is, if it is one: different PARTS joined by `+`; ValueError otherwise.

    >>> strategy_name("role+few-shot")
    'role+few-shot'
    """
    parts = name.split("+")
    wrong = next((part for part in parts if part not in PARTS), None)
    if wrong is not None:
        raise ValueError(f"found {wrong!r}, wanted {', '.join(PARTS)}, or several of them joined by '+'")
    if len(set(parts)) < len(parts) or {"zero-shot", "few-shot"} <= set(parts):
        raise ValueError(f"found {name!r}, wanted each part once, and zero-shot or few-shot but not both")
    return name


def _strategy(name: str) -> str:
    return name if name == "plain" else strategy_name(name)


Strategy = Annotated[str, AfterValidator(_strategy)]
"""`plain`, or a strategy's name."""


class ModelRef(Frozen):
    """A base model. `weights_sha256` covers the safetensors, `template` the rendering of a probe conversation."""

    name: str
    revision: str
    parameters: int
    context_length: int
    weights_sha256: str
    template: str
    licence: str = "unknown"


class GenerationSettings(Frozen):
    """How a completion is written: up to `max_new_tokens` or a stop token, the likeliest token each time.

    With `choices` it is one of these texts, with `json_schema` (a JSON Schema as text; its keys' order is the completion's) a value
    of that schema. A `temperature` above 0 draws the tokens: from the softmax of logits / `temperature`, cut to the likeliest that
    hold `top_p` of it, with `seed`. With `scored` it is the choice that is likeliest as a whole, in place of the one whose tokens are
    likeliest one after the other; `calibration` divides by how likely each choice is whatever was asked.
    """

    max_new_tokens: int = 32
    choices: tuple[str, ...] = ()
    # what asks for nothing stays out of the JSON: older fingerprints keep their meaning
    json_schema: str | None = Field(default=None, exclude_if=lambda value: value is None)
    temperature: float = Field(default=0.0, ge=0, allow_inf_nan=False, exclude_if=lambda value: value == 0)
    top_p: float = Field(default=1.0, gt=0, le=1, exclude_if=lambda value: value == 1)
    seed: int = Field(default=0, ge=0, exclude_if=lambda value: value == 0)
    scored: bool = Field(default=False, exclude_if=lambda value: value is False)
    calibration: Calibration = Field(default="none", exclude_if=lambda value: value == "none")

    @property
    def decoding(self) -> Decoding:
        """Written freely, held to choices or a schema while it is written, or the likeliest of the choices."""
        return "scored" if self.scored else "constrained" if self.choices or self.json_schema is not None else "free"

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.choices and self.json_schema is not None:
            raise ValueError("found choices and json_schema; a completion can be held to one of them")
        if self.scored and (not self.choices or self.temperature > 0):
            raise ValueError("found scored without choices, or with a temperature; the likeliest choice is neither written nor drawn")
        if self.calibration != "none" and not self.scored:
            raise ValueError(f"found calibration {self.calibration!r} of choices that are not scored")
        return self


class SimilarShots(Frozen):
    """Shots that each row gets for itself: the up to `k` rows of a pool that are nearest in meaning and fit `room` tokens together.

    `pool_sha256` is the content hash of the pool, `embedder` names what nearness is measured by; the nearest comes last, or first.
    """

    k: int = Field(ge=1)
    embedder: str
    pool_sha256: str
    room: int
    nearest: Literal["last", "first"] = "last"


Shot = tuple[Message, Message]


class Prompt(Frozen):
    """What a candidate adds to the user's own messages: `plain` adds nothing.

    `system` and `shots` stand before them, `turn` below the last user message. With an `answer_marker` the answer is what stands
    after its last occurrence in the completion. `similar` is what shots are picked by where each row gets its own; `left_out` counts
    shots that were asked for and found no room.
    """

    strategy: Strategy
    system: str | None = None
    shots: tuple[Shot, ...] = ()
    shot_ids: tuple[str, ...] = ()
    turn: str | None = Field(default=None, exclude_if=lambda value: value is None)
    answer_marker: str | None = Field(default=None, min_length=1, exclude_if=lambda value: value is None)
    similar: SimilarShots | None = Field(default=None, exclude_if=lambda value: value is None)
    left_out: int = Field(default=0, ge=0, exclude_if=lambda value: value == 0)


class Candidate(Record):
    """Anything that writes completions for examples and can be measured.

    Where its texts were hidden, `hidden_key` is the fingerprint that it had before.
    """

    SCHEMA: ClassVar[str] = "candidate/1"
    name: str
    kind: CandidateKind
    prompt: Prompt
    generation: GenerationSettings
    model: ModelRef | None = None
    weights_folder: str | None = None
    weights_sha256: str | None = None
    hidden_key: str = Field(default="", exclude_if=lambda value: value == "")

    @property
    def fingerprint(self) -> str:
        """Hash of what it is; where its weights lie does not matter."""
        return self.hidden_key or fingerprint({"schema": self.SCHEMA, "content": self.model_dump(mode="json", exclude={"weights_folder"})})


class PlanOption(Frozen):
    """One way to tune: does it fit, how long, how much. Memory in GiB, time in hours, money in US dollars."""

    method: Method
    fits: Literal["fits", "tight", "does not fit", "unknown"]
    memory_gib: Estimate
    duration_h: Estimate
    cost_usd: Estimate
    trainable_parameters: int
    note: str = ""


class Plan(Record):
    """What will be tried, computed before anything is spent."""

    SCHEMA: ClassVar[str] = "plan/1"
    model: ModelRef
    hardware: str
    memory_available_gib: float
    tokens_per_epoch: int
    options: tuple[PlanOption, ...]
    chosen: tuple[Method, ...]
    hyperparameters: dict[str, dict[str, float | int | str]]
    why: dict[str, str]
    assumptions: tuple[str, ...]
    prices_as_of: str
    smallest_provable_gain: float | None = None


class LossPoint(Frozen):
    """Training loss (nats per labelled token) and gradient norm of one optimizer step."""

    step: int
    loss: float
    gradient_norm: float


class ValidationScore(Frozen):
    """One look at the validation split during training."""

    step: int
    loss: float
    score: float


class TrainingRun(Record):
    """How one tuned candidate came about.

    `beside` counts the texts for training beside the rows by where they are from, `beside_left_out` those of them that were not
    used by reason, `rewritten` what became of targets that
    another model was to write; `scale` is the share of the way from the base that was kept. `generalisation_gap` is validation minus
    training loss of the kept weights, `memorising` the warning where they know their rows by heart; `start_sha256` is that of the tuned
    weights that training went on from.
    """

    SCHEMA: ClassVar[str] = "training_run/1"
    method: Method
    model: ModelRef
    hyperparameters: dict[str, float | int | str]
    seed: int
    losses: tuple[LossPoint, ...]
    validation: tuple[ValidationScore, ...]
    best_step: int
    total_steps: int
    stopped_because: str
    tokens_seen: int
    labelled_tokens_seen: int
    tokens_per_s: float
    duration_s: float
    peak_memory_gib: float
    resumed: int
    weights_folder: str
    weights_sha256: str
    rows_used: int
    rows_left_out: int
    measured_choices: dict[str, str | int | float | bool] = Field(default_factory=dict)
    environment: dict[str, str] = Field(default_factory=dict)
    beside: dict[str, int] = Field(default_factory=dict, exclude_if=lambda value: not value)
    beside_left_out: dict[str, int] = Field(default_factory=dict, exclude_if=lambda value: not value)
    rewritten: dict[str, int] = Field(default_factory=dict, exclude_if=lambda value: not value)
    scale: float = Field(default=1.0, exclude_if=lambda value: value == 1)
    generalisation_gap: Estimate | None = Field(default=None, exclude_if=lambda value: value is None)
    memorising: str = Field(default="", exclude_if=lambda value: not value)
    start_sha256: str = Field(default="", exclude_if=lambda value: not value)
