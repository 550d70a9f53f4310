"""The methods: which parameters of a loaded base model are trained, from which start, at which rates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.nn import Linear

from provetune.errors import SpecError

Hyperparameters = dict[str, float | int | str]


def full(model: Any, hyperparameters: Hyperparameters) -> Any:
    """All parameters."""
    model = model.float()  # small updates vanish in bfloat16 weights
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    return model


def lora(model: Any, hyperparameters: Hyperparameters) -> Any:
    """Low-rank adapters (Hu et al. 2021, arXiv 2106.09685) on linear layers; the base stays frozen, in four bits where it was loaded so.

    `variants` names, with commas, what else: `dora` (Liu et al. 2024, arXiv 2402.09353: magnitude and direction apart), `rslora`
    (Kalajdzievski 2023, arXiv 2312.03732: scale alpha / sqrt(r)), `pissa` (Meng et al. 2024, arXiv 2404.02948: start from the
    largest singular vectors). `layers` are decoder layers (`all`, or numbers as in `0-3,7`). Of `new_token_ids` (with commas)
    the rows of embedding and LM head are trained, too. Raises SpecError on layers the model lacks.
    """
    from peft import LoraConfig, get_peft_model

    variants = variants_of(hyperparameters)
    layers = layer_numbers(str(hyperparameters.get("layers", "all")), model.config.get_text_config().num_hidden_layers)
    config = LoraConfig(
        r=int(hyperparameters["r"]),
        lora_alpha=int(hyperparameters["alpha"]),
        lora_dropout=float(hyperparameters["dropout"]),
        target_modules=_targets(model, str(hyperparameters["targets"]), whole=layers is None),
        layers_to_transform=layers,
        use_dora="dora" in variants,
        use_rslora="rslora" in variants,
        init_lora_weights="pissa" if "pissa" in variants else True,
        trainable_token_indices=_token_rows(model, str(hyperparameters.get("new_token_ids", ""))),
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def variants_of(hyperparameters: Hyperparameters) -> set[str]:
    """The names under `variants`."""
    return {name for name in str(hyperparameters.get("variants", "")).split(",") if name}


def layer_numbers(text: str, count: int) -> list[int] | None:
    """Numbers of decoder layers, from 0, out of `count`; None for `all`. Raises SpecError.

    >>> layer_numbers("0-2,5", count=6), layer_numbers("all", count=6)
    ([0, 1, 2, 5], None)
    """
    if text == "all":
        return None
    ends = [part.partition("-")[::2] for part in text.split(",")]
    found = sorted({number for first, last in ends for number in range(int(first), int(last or first) + 1)})
    if not found or found[-1] >= count:
        raise SpecError(f"train.lora.layers: found {text!r}, wanted layers from 0 to {count - 1} of this base")
    return found


def _targets(model: Any, names: str, *, whole: bool) -> str | list[str]:
    if names != "all-linear":
        return [name.strip() for name in names.split(",")]
    if whole:
        return names
    # PEFT takes numbers of layers beside names only
    return sorted({name.rpartition(".")[2] for name, module in model.named_modules() if isinstance(module, Linear) and "layers." in name})


def _token_rows(model: Any, numbers: str) -> dict[str, list[int]] | None:
    layers = {id(layer) for layer in (model.get_input_embeddings(), model.get_output_embeddings())}
    if model.config.get_text_config().tie_word_embeddings:  # PEFT then takes the LM head along
        layers = {id(model.get_input_embeddings())}
    names = [name.rpartition(".")[2] for name, module in model.named_modules() if id(module) in layers]
    return {name: [int(number) for number in numbers.split(",")] for name in names} if numbers else None


METHODS: dict[str, Callable[[Any, Hyperparameters], Any]] = {"full": full, "lora": lora, "qlora": lora, "dpo": lora, "orpo": lora}


def parameter_groups(trainable: dict[str, Any], weight_decay: float, plus: float = 1.0) -> list[dict[str, Any]]:
    """Groups for an optimizer; `rate` is the factor on the learning rate.

    Vectors (norms, biases, DoRA's magnitudes) do not decay. `plus` is LoRA+'s factor for B (Hayou et al. 2024, arXiv 2402.12354).
    """

    def kind(name: str, value: Any) -> tuple[float, float]:
        return (weight_decay if value.ndim >= 2 else 0.0, plus if ".lora_B." in name else 1.0)

    kinds = dict.fromkeys(kind(name, value) for name, value in trainable.items())
    return [
        {"params": [value for name, value in trainable.items() if kind(name, value) == (decay, rate)], "weight_decay": decay, "rate": rate}
        for decay, rate in kinds
    ]
