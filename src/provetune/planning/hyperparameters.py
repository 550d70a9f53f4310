"""Values for training, each with its reason: the user's own where given, else a stated rule."""

from __future__ import annotations

from dataclasses import dataclass

from provetune.planning.memory import TunedBy
from provetune.planning.request import PlanRequest

Hyperparameters = dict[str, float | int | str]

SMALL = 100_000_000
"""Below this number of parameters a model needs, and bears, higher learning rates and more passes."""


@dataclass(frozen=True)
class Defaults:
    """Rules for models of one size; `examples` is how many the passes together should show."""

    said: str
    learning_rate: dict[TunedBy, float]
    batch_size: int
    examples: int
    epochs: tuple[int, int]


SMALL_MODEL = Defaults("models under 100M parameters", {"lora": 3e-3, "full": 1e-3}, 32, 60_000, (3, 12))
LARGE_MODEL = Defaults("models from 100M parameters", {"lora": 2e-4, "full": 2e-5}, 16, 6_000, (1, 5))


def choose_hyperparameters(request: PlanRequest, method: TunedBy) -> tuple[Hyperparameters, dict[str, str]]:
    """(values, reasons) of one method, under the same keys: those of the project file's `train` and `train.lora`."""
    train, lora = request.train, request.train.lora
    rows = len(request.row_lengths)
    defaults = SMALL_MODEL if request.model.parameters < SMALL else LARGE_MODEL
    low, high = defaults.epochs
    few = rows < 1000 and defaults.batch_size > 16
    name = {"lora": "LoRA", "full": "full tuning"}[method]
    longest = min(max(request.row_lengths), request.model.context_length)
    ruled: dict[str, tuple[float | int, str]] = {
        "learning_rate": (defaults.learning_rate[method], f"{name} default for {defaults.said}"),
        "epochs": (
            min(max(round(defaults.examples / rows), low), high),
            f"about {defaults.examples:,} examples shown, {rows:,} rows, between {low} and {high} passes, for {defaults.said}",
        ),
        "batch_size": (16 if few else defaults.batch_size, "fewer than 1,000 rows" if few else f"default for {defaults.said}"),
        "max_length": (longest, "longest training row, at most the model's context"),
    }
    given = {key: value for key, value in train.model_dump(include=set(ruled)).items() if value != "auto"}
    values: Hyperparameters = {}
    why: dict[str, str] = {}
    for key, (value, rule) in ruled.items():
        values[key] = given.get(key, value)
        why[key] = "set in the project file" if key in given else f"rule: {rule}"
    fixed: Hyperparameters = {"patience": train.early_stop.patience}
    if method == "lora":
        fixed |= {"r": lora.r, "alpha": lora.alpha, "dropout": lora.dropout, "targets": lora.targets}
    set_keys = lora.model_fields_set | train.early_stop.model_fields_set
    why |= {key: "set in the project file" if key in set_keys else "default of the project file" for key in fixed}
    return values | fixed, why
