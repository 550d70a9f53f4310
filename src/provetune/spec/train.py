"""The section `train`: how weights are tuned."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from provetune.records.candidate import Method
from provetune.spec.parts import Auto, Count, ForgettingSpec, Remedy, ReplaySpec, SpecPart, as_list, under

Variant = Literal["dora", "rslora", "pissa"]


def _new_tokens(values: list[str]) -> list[str]:
    wrong = next((value for value in values if not value.strip() or value != value.strip()), None)
    if wrong is not None or len(set(values)) < len(values):
        raise ValueError(f"found {values}, wanted different words without blanks around them")
    return values


def _different(values: list[int]) -> list[int]:
    if len(set(values)) < len(values):
        raise ValueError(f"found a seed twice in {values}, wanted different ones")
    return values


Seeds = Annotated[list[int], AfterValidator(_different), BeforeValidator(as_list, json_schema_input_type=list[int] | int)]


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

    `head` also trains a classification head on the frozen base; validation decides between it and `method`. `neftune` is the strength of
    noise on the embeddings of training rows; `beta` is for `dpo` and `orpo`. `start` is where training goes on from: a project, run or
    folder with tuned weights of the same base. `new_tokens` are words that become tokens of their own. `devices`: GPUs of
    this machine that train together (processes, where it has none).
    """

    method: Literal["auto", Method] = "auto"
    head: bool = False
    start: str | None = Field(default=None, min_length=1)
    new_tokens: Annotated[list[str], AfterValidator(_new_tokens), BeforeValidator(as_list, json_schema_input_type=list[str] | str)] = Field(
        default_factory=list
    )
    epochs: Count | Auto = "auto"
    learning_rate: Annotated[float, Field(gt=0, le=1)] | Auto = "auto"
    batch_size: Count | Auto = "auto"
    max_length: Count | Auto = "auto"
    lora: LoraSpec = LoraSpec()
    optimizer: Literal["adamw", "adafactor"] = "adamw"
    neftune: float = Field(default=0.0, ge=0, le=100)
    beta: float = Field(default=0.1, gt=0, le=10)
    devices: Count = 1
    early_stop: EarlyStopSpec = EarlyStopSpec()
    seeds: Seeds = Field(default_factory=lambda: [1], min_length=1)
    replay: Annotated[ReplaySpec | None, BeforeValidator(under("source"), json_schema_input_type=ReplaySpec | str | None)] = None
    forgetting: Annotated[ForgettingSpec, BeforeValidator(under("remedy"), json_schema_input_type=ForgettingSpec | Remedy)] = (
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

    @model_validator(mode="after")
    def _weights_that_can_take_it(self) -> Self:
        given = [key for key, value in (("start", self.start), ("new_tokens", self.new_tokens)) if value]
        if given and ("pissa" in self.lora.variants or self.method in ("dpo", "orpo", "head")):
            other = self.method if self.method in ("dpo", "orpo", "head") else "pissa"
            raise ValueError(f"{given[0]} is given, which does not go with {other}; use full, lora or qlora without it")
        if len(given) > 1:
            raise ValueError("start and new_tokens are given; an earlier training lacks the new tokens: keep one of them")
        return self
