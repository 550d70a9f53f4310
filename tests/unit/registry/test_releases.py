"""Releases: registered once, promoted by compare-and-swap, rolled back, loaded by version, name or role."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from provetune.errors import EvidenceError, FolderError, SpecError
from provetune.records.release import RoleOf
from provetune.registry import Author, Registry
from tests.unit.releases_by_hand import ADA, draft_of, registered


def test_a_release_is_registered_once_and_found_by_every_name(tmp_path: Path) -> None:
    release = registered(tmp_path)
    registry = Registry(tmp_path)
    assert (release.version, release.name) == (1, "tickets-v1")
    assert registered(tmp_path) == release
    registry.promote(1, ADA)
    for which in (1, "1", "v1", "tickets-v1", "champion"):
        assert registry.release(which) == release
    assert registry.champion() == release
    assert [entry.kind for entry in registry.listing().log] == ["register", "promote"]


@pytest.mark.parametrize("which", ["7", "v7", "other-v1", "canary", "previous", "../1", ""])
def test_an_unknown_name_is_refused(tmp_path: Path, which: str) -> None:
    registered(tmp_path)
    with pytest.raises(FolderError, match=r"found no|wanted one"):
        Registry(tmp_path).release(which)


def test_without_a_registry_the_next_command_is_named(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="provetune ship"):
        Registry(tmp_path).standing()
    assert not (tmp_path / "registry").exists()


def test_the_files_are_laid_out_under_their_names(tmp_path: Path) -> None:
    release = registered(tmp_path)
    registry = Registry(tmp_path)
    folder = registry.folder_of(release)
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == sorted(f.name for f in release.files)
    assert [row.text for row in registry.reference_rows(release)] == [f"question {k}" for k in range(5)]
    (folder / "evidence.json").write_text("changed", encoding="utf-8")
    assert (registry.folder_of(release) / "evidence.json").read_text(encoding="utf-8") == '{"seed": 0}'


def test_rollback_goes_back_one_champion_each_time(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    for seed in range(3):
        registered(tmp_path, seed)
        registry.promote(seed + 1, ADA)
    assert registry.release("previous").version == 2
    assert [registry.rollback(ADA).champion for _ in range(2)] == [2, 1]
    with pytest.raises(FolderError, match="no champion before"):
        registry.rollback(ADA)
    assert registry.promote(3, ADA).champion == 3
    assert registry.rollback(ADA).champion == 1


def test_a_change_that_was_decided_on_something_old_is_refused(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    for seed in range(2):
        registered(tmp_path, seed)
    seen = registry.standing().generation
    registry.promote(1, ADA, seen)
    with pytest.raises(FolderError, match="champion 1"):
        registry.promote(2, ADA, seen)
    assert registry.standing().champion == 1


def test_of_promoters_that_race_one_wins(tmp_path: Path) -> None:
    for seed in range(8):
        registered(tmp_path, seed)
    seen = Registry(tmp_path).standing().generation

    def attempt(version: int) -> int:
        try:
            Registry(tmp_path).promote(version, Author(f"person {version}", "a race"), seen)
        except FolderError:
            return 0
        return version

    with ThreadPoolExecutor(8) as pool:
        won = [version for version in pool.map(attempt, range(1, 9)) if version]
    assert len(won) == 1
    standing = Registry(tmp_path).standing()
    assert (standing.champion, standing.generation) == (won[0], seen + 1)


def test_roles_beside_the_champion_take_their_share(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    for seed in range(3):
        registered(tmp_path, seed)
    with pytest.raises(SpecError, match="promote a release first"):
        registry.assign("canary", RoleOf(version=2, share=0.05), ADA)
    registry.promote(1, ADA)
    registry.assign("shadow", RoleOf(version=3, share=1.0), ADA)
    standing = registry.assign("canary", RoleOf(version=2, share=0.25), ADA)
    assert standing.roles["champion"].share == 0.75
    assert registry.release("canary").version == 2
    with pytest.raises(SpecError, match="at most 1"):
        registry.assign("challenger", RoleOf(version=3, share=0.8), ADA)
    with pytest.raises(SpecError, match="promote and rollback"):
        registry.assign("champion", RoleOf(version=3, share=1), ADA)
    after = registry.promote(2, ADA)
    assert set(after.roles) == {"champion", "shadow"} and after.roles["champion"].share == 1
    assert registry.assign("shadow", None, ADA).roles.keys() == {"champion"}


@pytest.mark.parametrize("outcome", ["hold", "inconclusive"])
def test_what_was_not_decided_to_ship_is_refused(tmp_path: Path, outcome: str) -> None:
    draft, files = draft_of(tmp_path / "made")
    with pytest.raises(EvidenceError, match=f"the decision is {outcome}.*registry waive"):
        Registry(tmp_path).register(draft.model_copy(update={"outcome": outcome}), files, ADA)
    with pytest.raises(FolderError, match="found no registry"):
        Registry(tmp_path).listing()
