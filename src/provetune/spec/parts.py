"""The ground of the project file's models, its smaller sections, and those that this version reads but does not act on yet."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

NOT_YET = "not yet"
"""Marks a key that this version reads but does not act on."""

Auto = Literal["auto"]
Share = Annotated[float, Field(gt=0, lt=1)]
Threshold = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


def as_list(value: Any) -> Any:
    """A single text or number as a list of one."""
    return [value] if isinstance(value, str | int) else value


def under(key: str) -> Any:
    """Reads a single text as a mapping with that one key."""
    return lambda value: {key: value} if isinstance(value, str) else value


Names = Annotated[list[str], BeforeValidator(as_list, json_schema_input_type=list[str] | str)]


class SpecPart(BaseModel):
    """A mapping of the project file; immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_yes_no(cls, value: Any, field: Any) -> Any:
        # pydantic would read `epochs: yes` as 1
        if isinstance(value, bool) and cls.model_fields[field.field_name].annotation is not bool:
            raise ValueError("found true or false; YAML reads yes, no, on and off so: put a text in quotes")
        return value


AugmentKind = Literal["edit", "swap", "paraphrase"]


class AugmentSpec(SpecPart):
    """Rows made from training rows, after the split: of which kinds (none makes none), and the largest share of them in training."""

    kinds: Annotated[list[AugmentKind], BeforeValidator(as_list, json_schema_input_type=list[AugmentKind] | AugmentKind)] = Field(
        default_factory=list
    )
    share: Annotated[float, Field(gt=0, le=0.5)] = 0.5
    copies: Count = 1
    seed: int = 7


class PersonalDataSpec(SpecPart):
    """Which kinds of personal data are looked for, and what is done with them."""

    action: Literal["report", "mask", "drop"] = "report"
    kinds: Names = Field(default_factory=list)


class ToxicitySpec(SpecPart):
    """A text classifier by its folder, and HateCheck's cases (`test_suite_cases.csv`), without which it is not believed."""

    model: str = Field(min_length=1)
    hatecheck: str | None = None


class ReplaySpec(SpecPart):
    """Rows of general files or of earlier tasks that are trained on beside the task's rows, and their share of all rows of a step."""

    source: Names = Field(min_length=1)
    share: Share = 0.1


Remedy = Literal["auto", "none", "scale", "kl", "replay", "distill"]


class ForgettingSpec(SpecPart):
    """What is done so that tuning forgets little.

    `auto` measures and chooses where `prove.retention` names suites: first how much of the tuning is kept (`scale`, the share of the way
    from the base), then a training held by KL on texts that the base wrote (`weight`, `texts`). `replay` learns such texts again, or the
    rows of `train.replay`. `distill` trains on targets written by `teacher` (a model folder, or the name that a baseline with an endpoint
    is called by; none: the base itself, in its own words) where they are right by the metric, which is from `at_least` on.
    """

    remedy: Remedy = "auto"
    scale: Annotated[float, Field(gt=0, le=1)] | Literal["auto"] = "auto"
    weight: Annotated[float, Field(gt=0)] = 1.0
    texts: Count = 400
    teacher: str | None = None
    at_least: Threshold = 0.5


SearchKey = Literal[
    "learning_rate", "epochs", "batch_size", "optimizer", "neftune", "lora.r", "lora.targets", "lora.layers", "lora.plus", "lora.dropout"
]


class SearchSpec(SpecPart):
    """Search over values of training: how many configurations are tried (0 searches for none), and the values of each key.

    Two numbers for `learning_rate` are the ends of a range; everywhere else the list holds the values themselves.
    """

    trials: Annotated[int, Field(ge=0, le=1000)] = 0
    space: dict[SearchKey, Annotated[list[float | int | str], Field(min_length=1)]] = Field(default_factory=dict)


class PromptsSpec(SpecPart):
    """Search for the best prompt of each model on validation: how many prompts are tried (0 searches for none), with how many completions.

    `rewrites` of the prompts are written by the base model after reading mistakes on training rows; `files` hold prompts of your own.
    """

    search: Annotated[int, Field(ge=0, le=1000)] = 0
    completions: Count | None = None
    rewrites: Annotated[int, Field(ge=0)] = 0
    files: Names = Field(default_factory=list)

    @model_validator(mode="after")
    def _leave_room(self) -> Self:
        if self.rewrites >= max(self.search, 1):
            raise ValueError(f"rewrites is {self.rewrites}, wanted fewer than search, which is {self.search}: they rewrite another prompt")
        if not self.search and (self.files or self.completions is not None):
            raise ValueError("files and completions are for a search; give the number of prompts to try in search")
        return self


class FairnessSpec(SpecPart):
    """Groups exchanged in test prompts (`auto`: where the prompts name groups), bias sets by path, and how much harm holds a model back."""

    counterfactual: Literal["auto", "none"] = "auto"
    sets: Names = Field(default_factory=list)
    margin: Share = 0.05


Change = Literal["typos", "case", "longer", "paraphrase"]


class RobustnessSpec(SpecPart):
    """Requests written otherwise, requests that are not for the model (`out_of_scope`, a text file), other wordings of the prompt."""

    changes: Annotated[list[Change], BeforeValidator(as_list, json_schema_input_type=list[Change] | Change)] = Field(default_factory=list)
    out_of_scope: str | None = None
    wordings: bool = False


class RuleSpec(SpecPart):
    """One more condition for shipping."""

    name: str
    suite: str | None = None
    slice: str | None = None
    metric: str | None = None
    min: float | None = None
    max_drop: float | None = None
    max_gap_increase: float | None = None
    p95_ms: float | None = None
    max_usd_per_1k: float | None = None


class ExpertSpec(SpecPart):
    """A person who does the same work: share done right, on how many `rows` that was counted, and US dollars of 1,000 pieces."""

    quality: Threshold
    rows: Count | None = None
    usd_per_1k: float = Field(ge=0)


class ValueSpec(SpecPart):
    """What is needed to put the result into money. What is not given stays unknown; it decides nothing.

    A right completion saves `minutes_saved`, a wrong one costs `minutes_lost` of a person at `reviewer_usd_per_hour`. `feedback` is a
    JSONL file of `helpful` true or false, with the `candidate` it is about.
    """

    requests_per_month: float | None = Field(default=None, gt=0)
    machine_usd_per_hour: float | None = Field(default=None, ge=0)
    minutes_saved: float | None = Field(default=None, ge=0)
    minutes_lost: float = Field(default=0.0, ge=0)
    reviewer_usd_per_hour: float | None = Field(default=None, ge=0)
    setup_usd: float = Field(default=0.0, ge=0)
    upkeep_usd_per_month: float = Field(default=0.0, ge=0)
    months: Count = 12
    expert: ExpertSpec | None = None
    feedback: str | None = None


class ShipSpec(SpecPart):
    """What leaves the house: the form of the weights (where all were tuned, `adapter` is `merged`), and the hub's name for it."""

    form: Literal["adapter", "merged", "gguf"] = "adapter"
    push_to_hub: str | None = None


class DriftSpec(SpecPart):
    """Level of the drift tests, spent over the scheduled looks until the next evaluation."""

    alpha: Share = 0.05
    looks: Count = 26


class QualitySpec(SpecPart):
    """How many examples are handed over for labelling at each look, and how often there is a look (`1w`, `3d`, `12h`)."""

    examples: Annotated[int, Field(ge=0)] = 50
    every: str = "1w"

    @field_validator("every")
    @classmethod
    def _check_every(cls, every: str) -> str:
        if not (every[:-1].isdigit() and every[-1] in "hdw" and int(every[:-1])):
            raise ValueError(f"found {every!r}, wanted hours, days or weeks such as 12h, 3d or 1w")
        return every


class RetuneSpec(SpecPart):
    """When a new tuning is proposed, and what it may do.

    Proposed when labels show an error more than `quality_drop` above the held-out error's upper bound, when drift lasts for `drift_weeks`
    looks and a draw of labels confirms harm, and `age_months` after the last evaluation (earlier where the domain moved). A retune learns
    from `rows`: all, the recent ones, recent ones counted twice (`weighted`), or the recent ones with a `replay_share` of old ones; it
    needs `new_rows` labelled ones, comes `cooldown_days` after the one before, at most `per_year` times. `promote` is by hand unless auto.
    """

    quality_drop: Threshold = 0.03
    drift_weeks: Count = 3
    age_months: Annotated[float, Field(ge=1, le=12)] = 4
    new_rows: Count = 200
    rows: Annotated[Literal["all", "recent", "weighted", "replay"], NOT_YET] = "replay"
    replay_share: Annotated[Share, NOT_YET] = 0.4
    user_share: Annotated[Share, NOT_YET] = 0.05
    cooldown_days: Annotated[int, Field(ge=0), NOT_YET] = 30
    per_year: Annotated[Count, NOT_YET] = 6
    promote: Annotated[Literal["manual", "auto"], NOT_YET] = "manual"


class WatchSpec(SpecPart):
    """Watching after shipping: where the requests are logged, what they are compared with, when to tune again, who is told.

    `source` is a traffic log, a JSONL or CSV file, or a folder of them. `reference` holds rows that were held out of training. `notify`
    names webhooks (`https://...`) and mailboxes (`mailto:team@example.org?server=mail.example.org:25`).
    """

    source: str
    reference: str | None = None
    embedding: str | None = None
    drift: DriftSpec = DriftSpec()
    quality: QualitySpec = QualitySpec()
    retune_when: RetuneSpec = RetuneSpec()
    notify: Names = Field(default_factory=list)
