"""A managed job of SkyPilot, which is an external program here: it finds a machine in any cloud, and another when that is taken away."""

from __future__ import annotations

import shlex

import yaml

from provetune.launching.request import LaunchRequest

MOUNT = "/provetune"


def write(request: LaunchRequest) -> str:
    """The task file. SkyPilot has no limit of hours: `timeout` ends the work, which saves first, and the machine goes."""
    instance, command = request.instance, shlex.join(request.command(f"{MOUNT}/{request.project}"))
    kind = {"accelerators": f"{instance.accelerator}:{instance.devices}"} if instance.gpu else {"cpus": "8+"}
    task = {
        "name": request.name,
        "num_nodes": 1,
        "resources": {
            **kind,
            "use_spot": request.spot,
            "image_id": f"docker:{request.image}",
            # a managed job begins anew on another machine; what was done lies in the bucket
            "job_recovery": {"strategy": "EAGER_NEXT_REGION", "max_restarts_on_errors": 3},
            "autostop": {"idle_minutes": 10, "down": True},
        },
        "file_mounts": {MOUNT: {"source": request.bucket, "mode": "MOUNT"}},
        "run": f"timeout --signal=TERM --kill-after=120 {request.seconds} {command}\n",
    }
    return yaml.safe_dump(task, sort_keys=False)
