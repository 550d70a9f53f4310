"""Who should be served now: what the registry says, or runs that were named; loaded once, kept as long as they have a role."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provetune.records.release import RoleOf
from provetune.registry import Registry
from provetune.serving.fleet import Lineup, Served
from provetune.serving.loading import Endpoint, ToServe, load_served
from provetune.serving.runs import candidate_of_run, latest_run


@dataclass(frozen=True)
class Named:
    """What was named: a project `folder`, perhaps a `run` of it, a run on trial with its share, an endpoint that has the model loaded."""

    folder: Path
    run: Path | None = None
    canary: tuple[Path, float] | None = None
    endpoint: Endpoint | None = None


class Source:
    """Says who should be served now, and loads them."""

    def __init__(self, wish: Named) -> None:
        self.wish, self.registry = wish, Registry(wish.folder)
        self.offline = bool(os.environ.get("HF_HUB_OFFLINE"))
        registered = self.registry.database.file.is_file()
        self.from_registry = wish.run is None and registered and self.registry.standing().champion is not None
        self.generation = -1
        self.name, self.outcome = "", ""
        self._loaded: dict[int, Served] = {}

    def lineup(self) -> Lineup:
        """Everybody who should be served, loaded; who is loaded already is kept."""
        if self.from_registry:
            return self._registered()
        wish = self.wish
        run = wish.run or latest_run(wish.folder)
        wanted, self.name, self.outcome = candidate_of_run(wish.folder, run)
        champion = load_served(wanted, wish.endpoint, offline=self.offline)
        if wish.canary is None:
            return Lineup(champion)
        beside = load_served(candidate_of_run(wish.folder, wish.canary[0])[0], offline=self.offline)
        return Lineup(champion, {"canary": beside}, {"canary": wish.canary[1]})

    def _registered(self) -> Lineup:
        standing = self.registry.standing()
        roles: dict[Any, RoleOf] = dict(standing.roles)
        loaded = {role: self._release(one.version) for role, one in roles.items()}
        self._loaded = {one.version: loaded[role] for role, one in roles.items()}
        self.generation = standing.generation
        champion = loaded.pop("champion")
        return Lineup(champion, loaded, {role: roles[role].share for role in loaded})

    def _release(self, version: int) -> Served:
        if version in self._loaded:
            return self._loaded[version]
        release = self.registry.release(version)
        self.registry.check_servable(release)
        self.name, self.outcome = release.project, release.outcome
        weights = self.registry.folder_of(release) / "weights" if release.candidate.kind in ("adapter", "full") else None
        wanted = ToServe(release.name, release.name, release.candidate, self.wish.folder, weights)
        return load_served(wanted, self.wish.endpoint, offline=self.offline)
