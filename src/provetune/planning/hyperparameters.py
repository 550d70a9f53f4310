"""Values for training, each with its reason: the user's own where given, else a stated rule and where it comes from."""

from __future__ import annotations

import json
from dataclasses import dataclass

from provetune.planning.request import PlanRequest
from provetune.records.candidate import PREFERENCE, Method

Hyperparameters = dict[str, float | int | str]

SMALL = 100_000_000
"""Below this number of parameters a model needs, and bears, higher learning rates and more passes."""


@dataclass(frozen=True)
class Defaults:
    """Rules for models of one size; `examples` is how many the passes together should show, `sources` where a rate comes from."""

    said: str
    learning_rate: dict[Method, float]
    sources: dict[Method, str]
    batch_size: int
    examples: int
    epochs: tuple[int, int]


OWN = "measured with the starter model"
SMALL_MODEL = Defaults(
    "models under 100M parameters",
    {"lora": 3e-3, "full": 1e-3, "qlora": 3e-3, "dpo": 3e-4, "orpo": 1e-3},
    {"lora": OWN, "full": OWN, "qlora": "as LoRA", "dpo": "a tenth of LoRA's", "orpo": "a third of LoRA's"},
    32,
    60_000,
    (3, 12),
)
LARGE_MODEL = Defaults(
    "models from 100M parameters",
    {"lora": 2e-4, "full": 2e-5, "qlora": 2e-4, "dpo": 1e-5, "orpo": 8e-5},
    {
        "lora": "arXiv 2305.14314, table 9; ten times the rate of full tuning",
        "full": "Touvron et al. 2023, arXiv 2307.09288, section 3.1",
        "qlora": "arXiv 2305.14314, table 9",
        "dpo": "ten times the 1e-6 of Rafailov et al. 2023, arXiv 2305.18290, for an adapter",
        "orpo": "ten times the 8e-6 of Hong et al. 2024, arXiv 2403.07691, for an adapter",
    },
    16,
    6_000,
    (1, 5),
)
NAMES: dict[Method, str] = {"lora": "LoRA", "full": "full tuning", "qlora": "QLoRA", "dpo": "DPO", "orpo": "ORPO"}


def choose_hyperparameters(request: PlanRequest, method: Method) -> tuple[Hyperparameters, dict[str, str]]:
    """(values, reasons) of one method, under the same keys: those of the project file's `train` and `train.lora`."""
    train = request.train
    if method == "head":
        return _of_a_head(request)
    rows = request.pairs if method in PREFERENCE else len(request.row_lengths)
    defaults = SMALL_MODEL if request.model.parameters < SMALL else LARGE_MODEL
    low, high = defaults.epochs
    few = rows < 1000 and defaults.batch_size > 16
    longest = min(max(request.row_lengths), request.model.context_length)
    ruled: dict[str, tuple[float | int, str]] = {
        "learning_rate": (defaults.learning_rate[method], f"{NAMES[method]} default for {defaults.said} ({defaults.sources[method]})"),
        "epochs": (
            min(max(round(defaults.examples / max(rows, 1)), low), high),
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
    fixed = _fixed(request, method)
    set_keys = train.lora.model_fields_set | train.early_stop.model_fields_set | train.model_fields_set
    why |= {key: "set in the project file" if key in set_keys else "default of the project file" for key in fixed}
    return values | fixed, why


def _of_a_head(request: PlanRequest) -> tuple[Hyperparameters, dict[str, str]]:
    longest = min(max(request.row_lengths), request.model.context_length)
    given = request.train.max_length
    why = {"epochs": "one pass of the base over the rows", "batch_size": "as many rows as fit a pack", "max_length": "longest training row"}
    return {"epochs": 1, "batch_size": 16, "max_length": longest if given == "auto" else given}, why


def _fixed(request: PlanRequest, method: Method) -> Hyperparameters:
    """What the project file always says; of the less usual settings only those that were changed."""
    train, lora = request.train, request.train.lora
    fixed: Hyperparameters = {"patience": train.early_stop.patience}
    if method in PREFERENCE:
        fixed["beta"] = train.beta
    else:
        fixed |= {key: getattr(train, key) for key in ("optimizer", "neftune") if key in train.model_fields_set}
    if train.new_tokens:
        fixed["new_tokens"] = json.dumps(train.new_tokens, ensure_ascii=False)
    if method != "full":
        fixed |= {"r": lora.r, "alpha": lora.alpha, "dropout": lora.dropout, "targets": lora.targets}
        fixed |= {key: getattr(lora, key) for key in ("layers", "plus") if key in lora.model_fields_set}
        fixed |= {"variants": ",".join(sorted(lora.variants))} if lora.variants else {}
    return fixed
