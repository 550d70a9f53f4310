"""The base model beside the one that is tuned: switched on in its place, or a copy of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Pull:
    """Holds the model near its base: the loss is `weight` times KL(base || model) at every label, whatever the label.

    `base` None: the model itself with its adapter switched off, so that no second model is in memory.
    """

    weight: float
    base: Any = None


@contextmanager
def base_of(model: Any, base: Any = None) -> Iterator[Any]:
    """`base`, or the model itself with its adapter switched off."""
    if base is not None:
        yield base
        return
    with model.disable_adapter():
        yield model
