"""What clients may ask of a fine-tuning job, in OpenAI's form."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from provetune.serving.problems import invalid
from provetune.serving.requests import Asked, Name, Tag

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")
Auto = Literal["auto"]
LEARNING_RATE = 2e-4
"""What a multiplier of the learning rate multiplies."""


class Hyperparameters(Asked):
    """What may be set; `auto` is decided by the plan."""

    n_epochs: Auto | Annotated[int, Field(ge=1, le=1_000)] = "auto"
    batch_size: Auto | Annotated[int, Field(ge=1, le=4_096)] = "auto"
    learning_rate_multiplier: Auto | Annotated[float, Field(gt=0, le=5_000, allow_inf_nan=False)] = "auto"
    beta: Auto | Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] = "auto"


class MethodBody(Asked):
    """The part of a method that is its own."""

    hyperparameters: Hyperparameters = Hyperparameters()


class Method(Asked):
    """How to tune."""

    type: Literal["supervised", "dpo"]
    supervised: MethodBody | None = None
    dpo: MethodBody | None = None


class JobAsked(Asked):
    """A fine-tuning job. `validation_file` becomes the sealed test set on which the verdict is reached."""

    model: Name
    training_file: Name
    validation_file: Name | None = None
    suffix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")] | None = None
    seed: int | None = Field(default=None, ge=0, lt=2**31)
    method: Method | None = None
    hyperparameters: Hyperparameters | None = None
    metadata: Annotated[dict[Annotated[str, StringConstraints(max_length=64)], Tag], Field(max_length=16)] | None = None
    integrations: Annotated[list[Any], Field(max_length=0)] | None = None

    @property
    def settings(self) -> Hyperparameters:
        """The hyperparameters, wherever they stand."""
        own = self.method and (self.method.dpo if self.method.type == "dpo" else self.method.supervised)
        return (own.hyperparameters if own else None) or self.hyperparameters or Hyperparameters()

    @property
    def kind(self) -> Literal["supervised", "dpo"]:
        """The method's name."""
        return self.method.type if self.method else "supervised"

    @property
    def base(self) -> str:
        """The base model's name, safe to be handed on; Problem 400 for what could be a path."""
        if _SAFE.fullmatch(self.model) is None or ".." in self.model:
            raise invalid(
                f"model: found {self.model[:80]!r}, wanted `starter`, `owner/name` of the hub, or a name given with --base", "model"
            )
        return self.model

    def overrides(self) -> list[str]:
        """The same as options of `provetune run`."""
        own = self.settings
        found: dict[str, object] = {"train.epochs": own.n_epochs, "train.batch_size": own.batch_size}
        if own.learning_rate_multiplier != "auto":
            found["train.learning_rate"] = min(1.0, own.learning_rate_multiplier * LEARNING_RATE)
        if self.kind == "dpo":
            found |= {"train.method": "dpo", "train.beta": own.beta}
        if self.seed is not None:
            found["train.seeds"] = self.seed
        return [word for key, value in found.items() if value != "auto" for word in ("--set", f"{key}={value}")]
