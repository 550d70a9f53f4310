"""Models to choose from: those of the hub by words, licence and size, or the model folders below a folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

from provetune.errors import ModelError
from provetune.models.card import UNKNOWN, card_of, read_card, safetensors_parameters

TASK = "text-generation"
PUBLIC = "https://huggingface.co"
_CLIENT_ERROR = cast(type[Exception], HfHubHTTPError.__mro__[1])
"""What the hub's HTTP client raises, a refused connection included."""


@dataclass(frozen=True)
class Found:
    """A model that was found; `gated` where its terms must be accepted on the hub first. What is not told is None."""

    name: str
    licence: str
    parameters: int | None
    downloads: int | None
    datasets: tuple[str, ...] | None
    gated: bool = False


def browse_hub(words: str, licences: Sequence[str] | None, most_billions: float | None, limit: int = 20) -> list[Found]:
    """Text-generation models of the hub whose names hold `words`, most downloaded first; those without a known size are left out.

    `licences` None takes any. The hub is that of HF_ENDPOINT where it is set. Raises ModelError where it does not answer.
    """
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or PUBLIC)
    found: dict[str, Found] = {}
    try:
        for licence in dict.fromkeys(licences) if licences is not None else (None,):
            for model in api.list_models(
                search=words or None,
                pipeline_tag=TASK,
                filter=["safetensors", *([f"license:{licence}"] if licence else [])],
                num_parameters=None if most_billions is None else f"max:{most_billions:g}B",
                sort="downloads",
                limit=limit,
                expand=["cardData", "downloads", "gated", "safetensors"],
            ):
                card = card_of({} if model.card_data is None else vars(model.card_data))
                size = None if model.safetensors is None else model.safetensors.total
                found[model.id] = Found(model.id, card.licence, size, model.downloads, card.datasets, bool(model.gated))
    except (_CLIENT_ERROR, OSError, ValueError) as error:
        raise ModelError(
            f"{api.endpoint}: the hub could not be asked ({type(error).__name__}). Check the network and HF_ENDPOINT, "
            "or name a folder of models: `provetune plan --search DIR`"
        ) from error
    fitting = [one for one in found.values() if most_billions is None or (one.parameters or 0) <= most_billions * 1e9]
    return sorted(fitting, key=lambda one: (-(one.downloads or 0), one.name))[:limit]


def browse_folder(folder: Path, licences: Sequence[str] | None, most_billions: float | None) -> list[Found]:
    """Model folders (config.json beside safetensors) up to two levels below `folder`, smallest first; arguments as `browse_hub`."""
    found = []
    for config in sorted({*folder.glob("config.json"), *folder.glob("*/config.json"), *folder.glob("*/*/config.json")}):
        if any(config.parent.glob("*.safetensors")):
            card = read_card(config.parent)
            found.append(Found(str(config.parent), card.licence, safetensors_parameters(config.parent), None, card.datasets))
    fitting = [
        one
        for one in found
        if (licences is None or one.licence in licences or (one.licence == UNKNOWN and UNKNOWN in licences))
        and (most_billions is None or (one.parameters or 0) <= most_billions * 1e9)
    ]
    return sorted(fitting, key=lambda one: (one.parameters or 0, one.name))
