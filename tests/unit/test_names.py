"""Names by an entity model: what of its answers counts, and what is said where it is not there."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import pytest

from provetune.errors import SpecError
from provetune.personal_data import Hit
from provetune.personal_data.names import EntityNames, load_names


@dataclass(frozen=True)
class Entity:
    label_: str
    start_char: int
    end_char: int


@dataclass(frozen=True)
class Document:
    ents: tuple[Entity, ...]


def pipeline(text: str) -> Document:
    return Document((Entity("PERSON", 0, 3), Entity("DATE", 4, 6), Entity("GPE", 7, 12)))


def test_people_and_places_count_and_dates_do_not() -> None:
    names = EntityNames(pipeline, "spaCy's small one")
    assert names.find("Ada at Paris") == [Hit("name", 0, 3), Hit("place", 7, 12)]
    assert names.find("  ") == [] and "spaCy's small one" in names.looks_for


@pytest.mark.skipif(importlib.util.find_spec("spacy") is not None, reason="spaCy is installed here")
def test_an_absent_library_is_named_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="audit.names: en_core_web_sm needs spaCy; run `pip install spacy`"):
        load_names("en_core_web_sm", tmp_path)
