"""What this machine measured in this project: it corrects the next plan."""

from __future__ import annotations

from provetune.records.candidate import TrainingRun
from provetune.records.probe import Probe
from provetune.workflow.project import Project, processor


def measurements(project: Project) -> tuple[list[Probe], list[TrainingRun]]:
    """What this machine measured in this project, oldest first: probes, and trainings of runs that began before the current one."""
    runs = project.store.kept("tuning-", TrainingRun, own=False)
    probes = project.store.kept("probe-", Probe)
    mine = processor()
    return [p for p in probes if p.machine == mine], [run for run in runs if run.environment.get("processor") == mine]
