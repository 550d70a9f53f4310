"""One training by several processes: torchrun starts the ranks, and the first of them tells how it goes."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from provetune import errors
from provetune.errors import RunFailed, SpecError
from provetune.records.candidate import TrainingRun
from provetune.records.ranks import RankedJob, RankFault
from provetune.store import write_atomic
from provetune.workflow.project import Project

if TYPE_CHECKING:
    from provetune.tuning import TuneRequest

JOB_FILE, RESULT_FILE, FAULT_FILE = "job.json", "training.json", "fault.json"
TRAIN_FILE, VALIDATION_FILE = "train.jsonl", "validation.jsonl"
RESTARTS = 3
"""Of all ranks, after one of them died: one start may fail by itself, where the ranks find each other too slowly."""


def tuned_on_all(project: Project, request: TuneRequest) -> TrainingRun:
    """Train in this process, or, where `train.devices` is above 1, on as many by torchrun; the record of the training.

    Raises RunFailed where the ranks die more often than RESTARTS, or trained in another way than was asked for.
    """
    from provetune.tuning import tune

    devices = project.spec.train.devices
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise SpecError("provetune runs under torchrun; start `provetune run` alone, and set train.devices: it starts the ranks itself")
    if devices == 1 or request.method == "head":  # a head is trained in seconds
        return tune(request)
    if request.beside is not None:
        raise SpecError(f"train.devices is {devices}: with train.replay or train.forgetting one device trains; set train.devices to 1")
    folder = request.checkpoints / "ranks"
    _write_job(project, request, folder)
    ended = _run(project, request, torchrun(devices, folder))
    if (folder / FAULT_FILE).is_file():
        fault = RankFault.model_validate_json((folder / FAULT_FILE).read_text(encoding="utf-8"))
        raise vars(errors)[fault.error](fault.message)
    if ended or not (folder / RESULT_FILE).is_file():
        raise RunFailed(
            f"the ranks of {request.template.name} ended with {ended} after {RESTARTS} restarts; what they said stands above. "
            "Checkpoints are kept; the same command continues"
        )
    found = TrainingRun.from_json((folder / RESULT_FILE).read_text(encoding="utf-8"))
    if found.measured_choices.get("ranks") != devices:
        raise RunFailed(f"{request.template.name}: found {found.measured_choices.get('ranks', 1)} ranks that trained, wanted {devices}")
    return found


def torchrun(devices: int, folder: Path) -> list[str]:
    """The command that starts the ranks of one machine."""
    here = ["--standalone", f"--nproc-per-node={devices}", f"--max-restarts={RESTARTS}"]
    return [sys.executable, "-m", "torch.distributed.run", *here, "-m", "provetune.workflow.rank", str(folder)]


def _write_job(project: Project, request: TuneRequest, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, rows in ((TRAIN_FILE, request.train), (VALIDATION_FILE, request.validation)):
        write_atomic(folder / name, "".join(row.model_dump_json() + "\n" for row in rows))
    job = RankedJob(
        project=str(project.folder.resolve()),
        run=project.store.current.name,
        method=request.method,
        template=request.template,
        values=request.hyperparameters,
        seed=request.seed,
        checkpoints=str(request.checkpoints.resolve()),
        out=str(request.out.resolve()),
        packs=project.spec.train.devices,
        max_seconds=None if math.isinf(request.max_seconds) else request.max_seconds,
        limit=request.limit,
        usd_per_hour=request.usd_per_hour,
        trackers=tuple(request.trackers),
        start=None if request.start is None else str(request.start.resolve()),
    )
    write_atomic(folder / JOB_FILE, job.model_dump_json())


def _run(project: Project, request: TuneRequest, command: Sequence[str]) -> int:
    """Start, pass on what the first rank tells, and wait; an interruption goes to all ranks, which save first."""
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True, env=_environment())
    assert child.stdout is not None
    try:
        for line in child.stdout:
            try:
                told = json.loads(line)
                said, values = told["told"], told["values"]
            except (ValueError, TypeError, KeyError):
                sys.stderr.write(line)  # of a library
                continue
            request.progress(*values) if said == "progress" else request.event(said, **values)
        return child.wait()
    except KeyboardInterrupt:
        os.killpg(child.pid, signal.SIGTERM)
        child.wait()
        raise


def _environment() -> dict[str, str]:
    """This one's; threads are shared out, unless the user has said how many a process may take."""
    return {"OMP_NUM_THREADS": "1", **os.environ}
