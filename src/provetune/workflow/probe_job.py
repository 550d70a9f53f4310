"""The steps of a probe, alone in their process: `python -m provetune.workflow.probe_job FOLDER`. Not a command for users.

FOLDER holds the job, as for a training of a search; what was measured is written beside it, the weights are not kept.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

from provetune.errors import ProvetuneError
from provetune.records.probe import ProbeTaken
from provetune.records.tuning_search import TrialJob
from provetune.spec.text import load_spec
from provetune.store import write_atomic
from provetune.workflow.probe import TAKEN_FILE
from provetune.workflow.project import Project, project_of
from provetune.workflow.trial import run_job
from provetune.workflow.trials import JOB_FILE


def take(project: Project, job: TrialJob, folder: Path) -> ProbeTaken:
    """Train as the job says, with an eye on memory and on the clock after every optimizer step."""
    from provetune.tuning.memory import MemoryWatch

    marks: list[tuple[float, float]] = []

    def progress(what: str, done: int, total: int) -> None:
        if what.startswith(f"{job.method}: optimizer steps"):
            marks.append((time.perf_counter(), time.process_time()))

    with MemoryWatch() as memory:
        run = run_job(replace(project, progress=progress), job, folder)
    return ProbeTaken(
        idle_gib=memory.idle,
        peak_gib=memory.peak,
        anonymous_idle_gib=memory.anonymous_idle,
        anonymous_peak_gib=memory.anonymous_peak,
        reserved_gib=memory.reserved,
        wall_seconds=memory.seconds,
        marks=tuple(marks),
        measured_choices=run.measured_choices,
    )


def main(folder: Path) -> int:
    """Read the job, take the steps, write what was measured; the exit code is that of the error, if there is one."""
    job = TrialJob.model_validate_json((folder / JOB_FILE).read_text(encoding="utf-8"))
    place = Path(job.project)
    try:
        project = project_of(place, load_spec(place / "runs" / job.run / "resolved.yaml"), lambda *_: None)
        write_atomic(folder / TAKEN_FILE, take(project, job, folder).model_dump_json())
    except ProvetuneError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
