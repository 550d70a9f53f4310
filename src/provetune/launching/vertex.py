"""A custom job of Google's Vertex AI: the `CustomJobSpec` that `gcloud ai custom-jobs create --config` reads."""

from __future__ import annotations

import json

from provetune.launching.request import LaunchRequest

DISK_GB = 200


def write(request: LaunchRequest) -> str:
    """JSON. Vertex mounts buckets under /gcs."""
    instance = request.instance
    program, *arguments = request.command(f"/gcs/{request.bucket.removeprefix('gs://').rstrip('/')}/{request.project}")
    kind = {"acceleratorType": instance.accelerator, "acceleratorCount": instance.devices} if instance.gpu else {}
    pool = {
        "machineSpec": {"machineType": instance.name, **kind},
        "replicaCount": "1",
        "diskSpec": {"bootDiskType": "pd-ssd", "bootDiskSizeGb": DISK_GB},
        "containerSpec": {"imageUri": request.image, "command": [program], "args": arguments},
    }
    scheduling = {
        "timeout": f"{request.seconds}s",
        "restartJobOnWorkerRestart": True,
        "strategy": "SPOT" if request.spot else "STANDARD",
    }
    return json.dumps({"workerPoolSpecs": [pool], "scheduling": scheduling}, indent=2) + "\n"
