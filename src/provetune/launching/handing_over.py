"""The commands of a job, and handing it over by the vendor's own program."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

from provetune.errors import RunFailed, SpecError
from provetune.launching.request import LaunchRequest, Target
from provetune.records.launching import LaunchPlan


def commands(target: Target, request: LaunchRequest, file: Path) -> tuple[str, ...]:
    """What to give before, to submit, and after, in this order."""
    submitting = shlex.join(_filled(word, request, file) for word in target.submit)
    return _filled(target.before, request, file), submitting, *(_filled(text, request, file) for text in target.then)


def _filled(text: str, request: LaunchRequest, file: Path) -> str:
    values = {"file": str(file), "name": request.name, "project": request.project, "bucket": request.bucket.rstrip("/")}
    return text.format(**values, **{name: value for name, value in request.account.items() if name not in values})


def submit(target: Target, plan: LaunchPlan) -> LaunchPlan:
    """Hand the job over by the vendor's own program. SpecError without the program or without credentials, RunFailed where it refuses."""
    if shutil.which(target.client) is None:
        raise SpecError(f"{target.client} is not installed, so nothing was submitted; install it, or run yourself: {plan.commands[1]}")
    asked = subprocess.run(target.signed_in, capture_output=True, text=True, check=False)
    if asked.returncode:
        last = (asked.stderr or asked.stdout).strip().rpartition("\n")[2]
        raise SpecError(
            f"`{shlex.join(target.signed_in)}` finds no credentials ({last}), so nothing was submitted; sign in, then try again"
        )
    done = subprocess.run(shlex.split(plan.commands[1]), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RunFailed(f"`{plan.commands[1]}` ended with {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return plan.model_copy(update={"submitted": done.stdout.strip() or done.stderr.strip()})
