"""The sections `data` and `audit`: which rows, in which form, and when they are refused."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from provetune.spec.parts import Auto, Count, Names, PersonalDataSpec, Share, SpecPart, Threshold, ToxicitySpec, under

# fmt: off
DataFormat = Literal[
    "auto", "chat", "prompt-completion", "preference", "alpaca", "sharegpt", "csv", "xlsx", "parquet", "datasets",
    "label-studio", "argilla", "vertex", "bedrock",
]
# fmt: on


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
    pii: PersonalDataSpec | None = None


class FailOnSpec(SpecPart):
    """Thresholds above (or, for `min_examples`, below) which the audit blocks; none takes the audit's own."""

    min_examples: Count | None = None
    truncated_share: Threshold | None = None


class AuditSpec(SpecPart):
    """When the audit blocks; `embedding` is the folder of a static embedding model (none: TF-IDF).

    `names` is a spaCy pipeline that finds names, `toxicity` a text classifier; without them neither is looked for.
    """

    fail_on: FailOnSpec = FailOnSpec()
    embedding: str | None = None
    names: str | None = None
    toxicity: Annotated[ToxicitySpec | None, BeforeValidator(under("model"), json_schema_input_type=ToxicitySpec | str | None)] = None
