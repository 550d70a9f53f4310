"""Records of every schema version that was ever written are still read. `old_records.jsonl` holds one of each, a line each.

Who raises a schema's version adds a line with the new one, leaves the old line as it is, and gives the record a numbered migration.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from pathlib import Path

import pytest

from provetune import records
from provetune.records.base import Record

LINES = (Path(__file__).parent / "old_records.jsonl").read_text(encoding="utf-8").splitlines()


def kinds() -> dict[str, type[Record]]:
    """Every kind of record by the name of its schema."""
    for module in pkgutil.iter_modules(records.__path__):
        importlib.import_module(f"{records.__name__}.{module.name}")
    mine = [kind for kind in Record.__subclasses__() if kind.__module__.startswith(records.__name__)]
    return {kind.SCHEMA.partition("/")[0]: kind for kind in mine}


def schema_of(line: str) -> tuple[str, int]:
    name, _, version = json.loads(line)["schema"].removeprefix("provetune.").partition("/")
    return name, int(version)


def test_there_is_one_record_of_every_version_and_a_migration_for_every_step() -> None:
    wanted = {(name, version) for name, kind in kinds().items() for version in range(1, int(kind.SCHEMA.partition("/")[2]) + 1)}
    held = [schema_of(line) for line in LINES]
    assert len(wanted) > 25 and len(held) == len(set(held))
    assert set(held) == wanted, f"missing {sorted(wanted - set(held))}, too many {sorted(set(held) - wanted)}"
    for kind in kinds().values():
        assert set(kind.MIGRATIONS) == set(range(1, int(kind.SCHEMA.partition("/")[2]))), kind.SCHEMA


@pytest.mark.parametrize("line", LINES, ids=lambda line: "-".join(map(str, schema_of(line))))
def test_it_is_read_and_written_by_this_version(line: str) -> None:
    kind = kinds()[schema_of(line)[0]]
    found = kind.from_json(line)
    assert kind.from_json(found.to_json()) == found
    assert json.loads(found.to_json())["schema"] == f"provetune.{kind.SCHEMA}"
