"""Sizes of common base models, for plans without their files."""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib.resources import files

from provetune.planning.request import ModelShape

_ENDINGS = re.compile(r"[-_](chat|instruct|it|base|hf|int4|int8|gptq|awq|bnb|4bit|128k|4k|v[\d.]+|step.*|intermediate.*|\d+t)$")

NEAR = 0.4
"""Width, in natural logarithms of the number of parameters, of what counts as near."""


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


def shape_of_size(parameters: float, name: str = "") -> ModelShape:
    """Sizes that are usual for so many parameters: known models weighted by how near they are, the layers made to fit.

    The vocabulary is that of the family, where the name begins like one that is known.

    >>> shape = shape_of_size(6.7e9)
    >>> 0.95 < shape.parameters / 6.7e9 < 1.05, 3072 <= shape.hidden <= 4608
    (True, True)
    >>> shape_of_size(1.1e9, "Llama2-1B").vocabulary
    32000
    """
    shapes = [shape for shape, _ in known().values()]
    weights = [math.exp(-((math.log(one.parameters / parameters) / NEAR) ** 2)) + 1e-9 for one in shapes]

    def usual(size: Callable[[ModelShape], float]) -> float:
        return math.exp(sum(weight * math.log(size(one)) for one, weight in zip(shapes, weights, strict=True)) / sum(weights))

    width = 64 if parameters < 1e9 else 128
    hidden = max(width, width * round(usual(lambda one: one.hidden) / width))
    heads = hidden // width
    kv_heads = max(1, min(heads, round(heads * usual(lambda one: one.kv_heads / one.heads))))
    mlp = 64 * round(hidden * usual(lambda one: one.mlp * one.mlp_matrices / 3 / one.hidden) / 64)
    one_layer = ModelShape(hidden, 1, heads, kv_heads, width, mlp, 3, round(usual(lambda one: one.vocabulary)), tied=parameters < 2e9)
    family = _family(name)
    one_layer = one_layer if family is None else replace(one_layer, vocabulary=family.vocabulary)
    ends = one_layer.parameters - one_layer.linear_parameters
    return replace(one_layer, layers=max(1, round((parameters - ends) / one_layer.linear_parameters)))


def _family(name: str) -> ModelShape | None:
    """The known model whose name begins most alike; None where none shares its first four letters."""
    wanted = re.sub(r"[^a-z0-9]", "", _plain(name))
    alike = {key: len(os.path.commonprefix([wanted, re.sub(r"[^a-z0-9]", "", key)])) for key in known()}
    nearest = max(alike, key=lambda key: alike[key])
    return known()[nearest][0] if alike[nearest] >= 4 else None


def _plain(name: str) -> str:
    """Owner left out, lower case, endings that do not change the architecture removed."""
    text = name.rpartition("/")[2].lower().replace("meta-llama-", "llama-").replace("meta-", "")
    while _ENDINGS.search(text):
        text = _ENDINGS.sub("", text)
    return text
