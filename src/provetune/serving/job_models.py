"""Models that jobs have tuned, to be asked at once by the name that the job tells."""

from __future__ import annotations

from provetune.serving.bridge import Bridge
from provetune.serving.fleet import Served
from provetune.serving.loading import ToServe, load_served
from provetune.serving.runs import candidate_of_run

JOB_MODELS = 2
"""So many are held loaded at a time."""


class JobModels:
    """Models that jobs have tuned, loaded when they are first asked for."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._held: dict[str, Served] = {}

    def find(self, name: str) -> Served | None:
        """The model of this name; None where no job has tuned one."""
        if name not in self._held:
            found = self._bridge.run_of_model(name) if name.startswith("ft:") else None
            if found is None:
                return None
            project, run = found
            wanted, _, _ = candidate_of_run(project, run)
            self._held[name] = load_served(ToServe(name, "", wanted.candidate, project, wanted.weights))
            for old in list(self._held)[:-JOB_MODELS]:
                self._held.pop(old).retire()
        self._held[name] = self._held.pop(name)
        return self._held[name]
