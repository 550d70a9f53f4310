"""A batch script of Slurm; the project lies on a file system that all machines share."""

from __future__ import annotations

import shlex

from provetune.launching.request import LaunchRequest

NOTICE_S = 120
"""So long before its end the job is told, and saves."""


def write(request: LaunchRequest) -> str:
    """The script. `--requeue` begins again after a machine was lost, and goes on from the last checkpoint."""
    instance, seconds, account = request.instance, request.seconds, request.account
    kind = account.get("gres") or instance.gpu.partition("-")[0].lower()
    lines = {
        "job-name": request.name,
        "nodes": "1",
        "ntasks": "1",
        **({"gpus-per-node": f"{kind}:{instance.devices}"} if instance.gpu else {}),
        "cpus-per-task": str(8 * instance.devices),
        "time": f"{seconds // 3600:02d}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}",
        "signal": f"TERM@{NOTICE_S}",
        "output": "%x-%j.out",
        **{name: account[name] for name in ("partition", "account", "qos") if account.get(name)},
    }
    options = "\n".join(f"#SBATCH --{name}={value}" for name, value in lines.items())
    container = ["apptainer", "exec", *(["--nv"] if instance.gpu else []), request.image] if request.image else []
    command = shlex.join(["srun", *container, *request.command(f"{request.bucket.rstrip('/')}/{request.project}")])
    return f"#!/bin/bash\n{options}\n#SBATCH --requeue\n#SBATCH --open-mode=append\nset -eu\n{command}\n"
