"""One rank of a training by several: `python -m provetune.workflow.rank FOLDER`, started by torchrun. Not a command for users."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
from pathlib import Path
from typing import Any

from provetune.errors import ProvetuneError
from provetune.records.candidate import TrainingRun
from provetune.records.data import Example
from provetune.records.ranks import RankedJob, RankFault
from provetune.spec.text import load_spec
from provetune.store import lines_of, write_atomic
from provetune.workflow.project import environment, project_of
from provetune.workflow.together import FAULT_FILE, JOB_FILE, RESULT_FILE, TRAIN_FILE, VALIDATION_FILE
from provetune.workflow.yardstick import yardstick_of


def take_part(folder: Path) -> TrainingRun:
    """Train as one rank of the job in `folder`."""
    from provetune.tuning import TuneRequest, tune

    job = RankedJob.model_validate_json((folder / JOB_FILE).read_text(encoding="utf-8"))
    place = Path(job.project)
    project = project_of(place, load_spec(place / "runs" / job.run / "resolved.yaml"), lambda *_: None)
    request = TuneRequest(
        method=job.method,
        base_folder=project.base_folder,
        model=project.model,
        tokenizer=project.tokenizer,
        template=job.template,
        train=_rows(folder / TRAIN_FILE),
        validation=_rows(folder / VALIDATION_FILE),
        yardstick=yardstick_of(project, "validation"),
        metric=project.metric,
        hyperparameters=job.values,
        seed=job.seed,
        checkpoints=Path(job.checkpoints),
        out=Path(job.out),
        max_seconds=math.inf if job.max_seconds is None else job.max_seconds,
        environment=environment(),
        progress=lambda *values: _tell("progress", values),
        limit=job.limit,
        event=lambda kind, **values: _tell(kind, values),
        usd_per_hour=job.usd_per_hour,
        trackers=job.trackers,
        start=None if job.start is None else Path(job.start),
        packs=job.packs,
    )
    return tune(request)


def _rows(file: Path) -> list[Example]:
    return [Example.model_validate_json(line) for line in lines_of(file)]


def _tell(what: str, values: Any) -> None:
    print(json.dumps({"told": what, "values": values}, ensure_ascii=False), flush=True)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def main(folder: Path) -> int:
    """One rank; what it raises on purpose is written down, so that it is not tried again."""
    if (folder / FAULT_FILE).is_file():
        return 1
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        found = take_part(folder)
    except ProvetuneError as error:
        fault = RankFault(error=type(error).__name__, message=str(error))
        write_atomic(folder / FAULT_FILE, fault.model_dump_json())
        return error.exit_code
    if os.environ.get("RANK", "0") == "0":
        write_atomic(folder / RESULT_FILE, found.to_json())
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
