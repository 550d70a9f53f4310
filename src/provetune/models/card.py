"""What a model says of itself: licence and training data, from its card, its configuration, or the text of its licence."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

UNKNOWN = "unknown"
_NO_NAME = ("other", UNKNOWN, "")
_TEXTS = (
    (r"llama 4 community license", "llama4"),
    (r"llama 3\.3 community license", "llama3.3"),
    (r"llama 3\.2 community license", "llama3.2"),
    (r"llama 3\.1 community license", "llama3.1"),
    (r"meta llama 3 community license", "llama3"),
    (r"llama 2 community license", "llama2"),
    (r"gemma terms of use", "gemma"),
    (r"qwen research license agreement", "qwen-research"),
    (r"(qwen|tongyi qianwen) license agreement", "qwen"),
    (r"mistral ai research license", "mrl"),
    (r"mistral ai non-production license", "mnpl"),
    (r"bigscience rail license", "bigscience-bloom-rail-1.0"),
    (r"bigcode open ?rail-m", "bigcode-openrail-m"),
    (r"deepseek license agreement", "deepseek"),
    (r"falcon.{0,20}llm licen[cs]e", "falcon-llm-license"),
    (r"attribution-noncommercial-sharealike 4\.0", "cc-by-nc-sa-4.0"),
    (r"attribution-noncommercial 4\.0", "cc-by-nc-4.0"),
    (r"attribution-sharealike 4\.0", "cc-by-sa-4.0"),
    (r"attribution 4\.0", "cc-by-4.0"),
    (r"gnu general public license\s+version 3", "gpl-3.0"),
    (r"apache license,?\s+version 2\.0", "apache-2.0"),
    (r"permission is hereby granted, free of charge", "mit"),
    (r"neither the name of .{0,80} may be used to\s+endorse", "bsd-3-clause"),
)
"""How the text of a licence is known; the first that is found in its beginning counts."""
_BEGINNING = 6000


@dataclass(frozen=True)
class Card:
    """`licence` in lower case, or `unknown`; `found_in` is the file that named it. `datasets` is None where nothing is declared."""

    licence: str = UNKNOWN
    found_in: str = ""
    datasets: tuple[str, ...] | None = None


def read_card(folder: Path) -> Card:
    """Licence and declared training data of a model folder; the card's word comes before the licence's text.

    >>> from provetune.models.locate import STARTER
    >>> read_card(STARTER).licence
    'apache-2.0'
    """
    front = front_matter(folder / "README.md")
    card = card_of(front)
    if card.licence != UNKNOWN:
        return card
    for file, found in (("config.json", _configured(folder)), *((path.name, _recognised(path)) for path in _licence_files(folder))):
        if found:
            return Card(found, file, card.datasets)
    return card


def card_of(front: dict[str, Any]) -> Card:
    """The same from a card's metadata. `license: other` with a `license_name` is that name.

    >>> card_of({"license": "other", "license_name": "Llama3.1", "datasets": ["c4"]})
    Card(licence='llama3.1', found_in='README.md', datasets=('c4',))
    """
    named = [_id(front.get(key)) for key in ("license", "license_name")]
    licence = next((name for name in named if name not in _NO_NAME), UNKNOWN)
    data = front.get("datasets")
    datasets = tuple(str(name) for name in (data if isinstance(data, list) else [data])) if data else None
    return Card(licence, "README.md" if licence != UNKNOWN else "", datasets)


def front_matter(card: Path) -> dict[str, Any]:
    """The YAML between the first two lines of `---` of a model card; empty where there is none, or none that can be read."""
    if not card.is_file():
        return {}
    parts = re.split(r"^---\s*$", card.read_text(encoding="utf-8", errors="replace").lstrip("\ufeff"), maxsplit=2, flags=re.MULTILINE)
    if len(parts) < 3 or parts[0].strip():
        return {}
    try:
        found = yaml.safe_load(parts[1])
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def _id(value: Any) -> str:
    """One licence; several are written with `+`, and all of them bind."""
    names = value if isinstance(value, list) else [value] if value else []
    return "+".join(sorted(str(name).strip().lower() for name in names))


def _configured(folder: Path) -> str:
    file = folder / "config.json"
    found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    name = _id(found.get("license"))
    return "" if name in _NO_NAME else name


def _licence_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.is_file() and re.match(r"(licen[cs]e|copying)", file.name, re.IGNORECASE))


def _recognised(file: Path) -> str:
    """The licence that a text is, by its beginning; empty where it is none that is known."""
    text = " ".join(file.read_text(encoding="utf-8", errors="replace")[:_BEGINNING].lower().split())
    return next((name for pattern, name in _TEXTS if re.search(pattern, text)), "")


def safetensors_parameters(folder: Path) -> int:
    """Parameters of a model folder, from the headers of its safetensors."""
    return sum(_parameters(file) for file in folder.glob("*.safetensors"))


def _parameters(file: Path) -> int:
    with file.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(size))
    total = 0
    for name, entry in header.items():
        if name != "__metadata__":
            count = 1
            for side in entry["shape"]:
                count *= side
            total += count
    return total


def architecture_of(folder: Path) -> str:
    """Name of the architecture in config.json, as transformers calls it.

    >>> from provetune.models.locate import STARTER
    >>> architecture_of(STARTER)
    'LlamaForCausalLM'
    """
    found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return str(next(iter(found.get("architectures") or []), found.get("model_type", UNKNOWN)))
