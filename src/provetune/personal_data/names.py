"""Names of people and places by a named-entity model of spaCy, where it is installed; nothing of it comes with this package."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from provetune.errors import SpecError
from provetune.personal_data import Hit

KINDS = {"PERSON": "name", "PER": "name", "GPE": "place", "LOC": "place", "FAC": "place"}
"""spaCy's labels, which differ between its models, and what a finding calls them."""


class EntityNames:
    """A `Recogniser` over a pipeline whose documents have entities (`ents` with `label_`, `start_char`, `end_char`)."""

    def __init__(self, pipeline: Callable[[str], Any], name: str) -> None:
        self._pipeline = pipeline
        self.looks_for = f"{name} (people and places; it overlooks some and takes other words for names)"

    def find(self, text: str) -> list[Hit]:
        """Every person and place that the pipeline finds."""
        found = self._pipeline(text).ents if text.strip() else ()
        return [Hit(KINDS[one.label_], one.start_char, one.end_char) for one in found if one.label_ in KINDS]


def load_names(name: str, folder: Path) -> EntityNames:
    """The spaCy pipeline of this name, or in this folder; SpecError where spaCy or the pipeline is not there."""
    try:
        spacy = importlib.import_module("spacy")
    except ImportError as error:
        raise SpecError(f"audit.names: {name} needs spaCy; run `pip install spacy`, or remove the key") from error
    place = folder / name if (folder / name).is_dir() else name
    try:
        return EntityNames(spacy.load(place), f"spaCy's {name}")
    except OSError as error:
        raise SpecError(f"audit.names: spaCy has no pipeline {name!r}; run `python -m spacy download {name}`, or name a folder") from error
