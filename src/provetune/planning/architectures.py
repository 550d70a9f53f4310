"""Sizes of common base models, for plans without their files."""

from __future__ import annotations

import csv
import io
import re
from functools import cache
from importlib.resources import files

from provetune.planning.request import ModelShape

_ENDINGS = re.compile(r"[-_](chat|instruct|it|base|hf|int4|int8|gptq|awq|bnb|4bit|128k|4k|v[\d.]+|step.*|intermediate.*|\d+t)$")


@cache
def known() -> dict[str, tuple[ModelShape, int]]:
    """Shape and context length by normalised name; from the models' own config.json."""
    text = files("provetune.planning").joinpath("architectures.csv").read_text(encoding="utf-8")
    found = {}
    for row in csv.DictReader(io.StringIO(text)):
        sizes = {key: int(row[key]) for key in ("hidden", "layers", "heads", "kv_heads", "head_dim", "mlp", "mlp_matrices", "vocabulary")}
        found[_plain(row["name"])] = (ModelShape(**sizes, tied=row["tied"] == "yes"), int(row["context"]))
    return found


def known_shape(name: str) -> tuple[ModelShape, int] | None:
    """(sizes, context length) of a model by its hub id; variants (chat, quantised) have those of their base. None where not in the table.

    >>> known_shape("Qwen/Qwen-7B-Chat-Int4")[0].layers
    32
    >>> known_shape("nobody/nothing") is None
    True
    """
    return known().get(_plain(name))


def _plain(name: str) -> str:
    """Owner left out, lower case, endings that do not change the architecture removed."""
    text = name.rpartition("/")[2].lower().replace("meta-llama-", "llama-").replace("meta-", "")
    while _ENDINGS.search(text):
        text = _ENDINGS.sub("", text)
    return text
