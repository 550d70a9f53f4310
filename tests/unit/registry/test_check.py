"""Damage is found and mended: flipped bits, cut files, changed rows of the tables, a broken chain; what gc may remove and what not."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from provetune.errors import FolderError, ModelError
from provetune.records.release import RoleOf, inner_name
from provetune.registry import Registry, collect, restore, verify
from provetune.registry.files import check_file
from tests.unit.releases_by_hand import ADA, draft_of, registered


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two releases, the second champion."""
    for seed in range(2):
        registered(tmp_path, seed)
        Registry(tmp_path).promote(seed + 1, ADA)
    return tmp_path


def tables(project: Path) -> Path:
    return project / "registry" / "registry.sqlite"


def run_sql(project: Path, *statements: str) -> None:
    with closing(sqlite3.connect(tables(project), isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


def cut(project: Path) -> None:
    data = tables(project).read_bytes()
    tables(project).write_bytes(data[: len(data) // 2])


def emptied(project: Path) -> None:
    tables(project).write_bytes(b"")


def flipped(project: Path) -> None:
    data = bytearray(tables(project).read_bytes())
    place = data.index(b'"evidence_sha256"')
    data[place + 25] ^= 1
    tables(project).write_bytes(bytes(data))


def rewritten_log(project: Path) -> None:
    run_sql(project, "DROP TRIGGER log_stays", "UPDATE log SET who='mallory' WHERE number=2")


def shortened_log(project: Path) -> None:
    run_sql(project, "DROP TRIGGER log_keeps", "DELETE FROM log WHERE number=(SELECT MAX(number) FROM log)")


def moved_champion(project: Path) -> None:
    run_sql(project, "UPDATE role SET version=1")


def test_all_is_as_it_was_written(project: Path) -> None:
    found = verify(Registry(project))
    assert (found.faults, found.releases, found.champion, found.entries) == ((), 2, 2, 4)


@pytest.mark.parametrize("damage", [cut, emptied, flipped, rewritten_log, shortened_log, moved_champion])
def test_damaged_tables_are_found_and_restored_from_the_newest_copy(project: Path, damage: Callable[[Path], None]) -> None:
    before = Registry(project).listing()
    damage(project)
    assert verify(Registry(project)).faults
    found = restore(Registry(project), ADA)
    assert found.copy is not None and found.missing == ()
    after = Registry(project).listing()
    assert after.releases == before.releases and after.standing == before.standing
    assert after.log[:-1] == before.log and after.log[-1].kind == "restore"
    assert verify(Registry(project)).faults == ()
    assert list((project / "registry" / "damaged").iterdir()), "what was damaged is kept aside"


def test_a_flipped_bit_in_a_file_is_found_and_mended_from_the_run(project: Path) -> None:
    release = Registry(project).champion()
    weights = next(file for file in release.files if file.name.endswith(".safetensors"))
    place = Registry(project).files.place(weights.sha256)
    data = bytearray(place.read_bytes())
    data[-1] ^= 1
    place.chmod(0o644)
    place.write_bytes(bytes(data))
    assert verify(Registry(project)).faults == (f"version 2: {weights.name} is missing or damaged",)
    with pytest.raises(FolderError, match="registry restore"):
        Registry(project).folder_of(release)
    assert restore(Registry(project), ADA).files == (f"version 2: {weights.name}",)
    assert verify(Registry(project)).faults == ()


def test_a_file_that_is_nowhere_is_said_to_be_missing(project: Path) -> None:
    release = Registry(project).champion()
    place = Registry(project).files.place(release.files[0].sha256)
    place.unlink()
    (project / "runs" / "made-1" / release.files[0].name).unlink()
    assert restore(Registry(project), ADA).missing == (f"version 2: {release.files[0].name}",)


def test_the_log_takes_no_change(project: Path) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        run_sql(project, "UPDATE log SET why='another' WHERE number=1")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        run_sql(project, "DELETE FROM log")


def test_gc_keeps_champions_roles_and_what_recent_changes_reach(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    for seed in range(6):
        registered(tmp_path, seed)
        registry.promote(seed + 1, ADA)
    registry.assign("shadow", RoleOf(version=1, share=1), ADA)
    assert collect(registry, ADA, keep=0, dry=True).versions == (2, 3)
    assert collect(registry, ADA, keep=100).versions == ()
    found = collect(registry, ADA, keep=0)
    assert found.versions == (2, 3) and found.objects == 4, "weights and evidence of two; the reference rows are shared"
    assert verify(registry).faults == () and registry.listing().collected == (2, 3)
    assert [registry.rollback(ADA).champion for _ in range(2)] == [5, 4]
    with pytest.raises(FolderError, match="collected by gc"):
        registry.promote(2, ADA)
    assert registered(tmp_path, 1).version == 2
    assert registry.promote(2, ADA).champion == 2 and verify(registry).faults == ()


@pytest.mark.parametrize(
    "name",
    [
        "../a.json",
        "/etc/a.json",
        "a/../../b.json",
        "a\\b.json",
        "C:/a.json",
        "a\0.json",
        ".hidden.json",
        "",
        "a//b.json",
        "x" * 300 + ".json",
    ],
)
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="plain names"):
        inner_name(name)


@pytest.mark.parametrize("name", ["model.bin", "model.pt", "a.pkl", "optimizer.pth", "model.ckpt", "code.py", "model"])
def test_pickles_and_programs_are_refused(tmp_path: Path, name: str) -> None:
    draft, files = draft_of(tmp_path / "made")
    (tmp_path / name).write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError, match="pickles and programs are never taken"):
        Registry(tmp_path).register(draft, {**files, f"weights/{name}": tmp_path / name}, ADA)


def test_a_link_a_cut_tensor_file_and_code_beside_weights_are_refused(tmp_path: Path) -> None:
    _, files = draft_of(tmp_path / "made")
    weights = files["weights/adapter_model.safetensors"]
    link = tmp_path / "link.safetensors"
    link.symlink_to(weights)
    with pytest.raises(ModelError, match="links are not followed"):
        check_file("link.safetensors", link)
    short = tmp_path / "short.safetensors"
    short.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(ModelError, match="no whole safetensors"):
        check_file("short.safetensors", short)
    bomb = tmp_path / "bomb.safetensors"
    bomb.write_bytes((2**62).to_bytes(8, "little") + b"{}")
    with pytest.raises(ModelError, match="no whole safetensors"):
        check_file("bomb.safetensors", bomb)
    config = tmp_path / "config.json"
    config.write_text('{"auto_map": {"AutoModel": "x.py"}}', encoding="utf-8")
    with pytest.raises(ModelError, match="auto_map"):
        check_file("config.json", config)
