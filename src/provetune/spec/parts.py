"""The ground of the project file's models, its smaller sections, and those that this version reads but does not act on yet."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

NOT_YET = "not yet"
"""Marks a key that this version reads but does not act on."""

Share = Annotated[float, Field(gt=0, lt=1)]
Threshold = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


def as_list(value: Any) -> Any:
    """A single text or number as a list of one."""
    return [value] if isinstance(value, str | int) else value


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


class NearDuplicatesSpec(SpecPart):
    """How near-duplicates are found, and from which similarity on."""

    method: Literal["minhash"] = "minhash"
    threshold: Threshold = 0.9


class PersonalDataSpec(SpecPart):
    """Which kinds of personal data are looked for, and what is done with them."""

    action: Literal["report", "mask", "drop"] = "report"
    kinds: Names = Field(default_factory=list)


class WarnOnSpec(SpecPart):
    """Thresholds from which the audit warns; none takes the audit's own."""

    duplicate_share: Annotated[Threshold | None, NOT_YET] = None
    label_noise_share: Annotated[Threshold | None, NOT_YET] = None
    kappa_below: Annotated[Threshold | None, NOT_YET] = None


class ReplaySpec(SpecPart):
    """General examples mixed in, so that old abilities are kept."""

    source: str
    share: Share = 0.1


class SearchSpec(SpecPart):
    """Search over hyper-parameters: number of trials, and per parameter a range or a list."""

    trials: Annotated[int, Field(ge=0), NOT_YET] = 0
    space: Annotated[dict[str, list[float | int | str]], NOT_YET] = Field(default_factory=dict)


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


class HumanSpec(SpecPart):
    """A blind comparison by people."""

    blind_pairs: Count = 50
    min_win_rate: Threshold = 0.55


class ShipSpec(SpecPart):
    """What leaves the house: the form of the weights and where they are pushed to."""

    form: Annotated[Literal["adapter", "merged", "gguf"], NOT_YET] = "adapter"
    push_to_hub: Annotated[str | None, NOT_YET] = None


class DriftSpec(SpecPart):
    """Level of the drift tests, spent over the scheduled looks."""

    alpha: Share = 0.05
    looks: Count = 26


class QualitySpec(SpecPart):
    """How many examples are judged, and how often (`1w`, `3d`)."""

    examples: Count = 50
    every: str = "1w"


class RetuneSpec(SpecPart):
    """When a new tuning is proposed."""

    quality_drop: Threshold | None = None
    drift_weeks: Count | None = None
    age_months: Count | None = None


class WatchSpec(SpecPart):
    """Watching after shipping: request log, drift, quality, when to tune again."""

    source: str
    drift: DriftSpec = DriftSpec()
    quality: QualitySpec = QualitySpec()
    retune_when: RetuneSpec = RetuneSpec()
