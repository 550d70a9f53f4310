"""A process killed at any instant of a change: the registry verifies, and one release is champion."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from provetune.records.release import RoleOf
from provetune.registry import Registry, collect, verify
from tests.unit.releases_by_hand import ADA, registered

FEW, MANY = 5, 100


def killed(action: Callable[[], object], after: float) -> None:
    """Run `action` again and again in a process of its own, and kill that after so many seconds."""
    child = os.fork()
    if child == 0:
        try:
            while True:
                action()
        finally:
            os._exit(0)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def promoted(project: Path) -> Callable[[], object]:
    draw = random.Random()
    return lambda: Registry(project).promote(draw.randint(1, 3), ADA)


def rolled_back(project: Path) -> Callable[[], object]:
    def there_and_back() -> None:
        Registry(project).promote(2, ADA)
        Registry(project).rollback(ADA)

    return there_and_back


def collected(project: Path) -> Callable[[], object]:
    def made_and_collected() -> None:
        registered(project, random.Random().randint(100, 10**6))
        Registry(project).assign("shadow", RoleOf(version=1, share=1), ADA)
        collect(Registry(project), ADA, keep=1)

    return made_and_collected


def shipped(project: Path) -> Callable[[], object]:
    return lambda: registered(project, random.Random().randint(100, 10**6))


@pytest.mark.parametrize("action", [promoted, rolled_back, collected, shipped], ids=["promote", "rollback", "gc", "register"])
@pytest.mark.parametrize("kills", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_a_kill_leaves_a_registry_that_verifies_with_one_champion(
    tmp_path: Path, action: Callable[[Path], Callable[[], object]], kills: int
) -> None:
    for seed in range(3):
        registered(tmp_path, seed)
    for version in (1, 3, 2):
        Registry(tmp_path).promote(version, ADA)
    draw, before = random.Random(7), len(Registry(tmp_path).listing().log)
    began = time.monotonic()
    action(tmp_path)()
    took = time.monotonic() - began
    for number in range(kills):
        killed(action(tmp_path), draw.uniform(0, 2 * took) if number else 5 * took)
        found = verify(Registry(tmp_path))
        assert found.faults == ()
        assert found.champion == Registry(tmp_path).champion().version
    assert len(Registry(tmp_path).listing().log) > before, "the changes must have come about, too"
    Registry(tmp_path).promote(1, ADA)
    collect(Registry(tmp_path), ADA, keep=0)
    assert not list((tmp_path / "registry" / "objects").glob("*/.*")), "what killed processes left over is collected"
    assert verify(Registry(tmp_path)).faults == ()
