"""One training of a search, alone in its process: `python -m provetune.workflow.trial FOLDER`. Not a command for users.

FOLDER holds the job; the record of the training is written beside it, its weights are not kept.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from provetune.errors import ProvetuneError
from provetune.models.locate import tuned_folder
from provetune.records.candidate import MADE, Candidate, TrainingRun
from provetune.records.tuning_search import TrialJob
from provetune.similarity import tied_together
from provetune.spec.text import load_spec
from provetune.store import write_atomic
from provetune.workflow import steps
from provetune.workflow.project import Project, environment, project_of
from provetune.workflow.trials import JOB_FILE, RESULT_FILE
from provetune.workflow.yardstick import yardstick_of


def run_job(project: Project, job: TrialJob, folder: Path) -> TrainingRun:
    """Train as the job says and look at its validation rows; checkpoints and weights lie under `folder` for as long as it takes."""
    from provetune.tuning import TuneRequest, tune

    rows = {example.id: example for example in project.examples}
    request = TuneRequest(
        method=job.method,
        base_folder=project.base_folder,
        model=project.model,
        tokenizer=project.tokenizer,
        template=Candidate(
            name=f"tuned-{job.method}",
            kind=MADE[job.method],
            prompt=steps.PLAIN,
            generation=job.settings,
        ),
        train=[rows[i] for i in job.train_ids],
        validation=tied_together([rows[i] for i in job.validation_ids]),
        yardstick=yardstick_of(project, "validation"),
        metric=project.metric,
        hyperparameters=job.values,
        seed=job.seed,
        checkpoints=folder / "checkpoints",
        out=folder / "weights",
        max_seconds=float("inf"),
        environment=environment(),
        progress=project.progress,
        start=tuned_folder(project.folder, project.spec.train.start, job.method),
    )
    found = tune(request)
    shutil.rmtree(request.out)
    return found


def main(folder: Path) -> int:
    """Read the job, train, write the record; the exit code is that of the error, if there is one."""
    job = TrialJob.model_validate_json((folder / JOB_FILE).read_text(encoding="utf-8"))
    place = Path(job.project)
    try:
        spec = load_spec(place / "runs" / job.run / "resolved.yaml")
        project = project_of(place, spec, lambda *_: None)
        write_atomic(folder / RESULT_FILE, run_job(project, job, folder).to_json())
    except ProvetuneError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
