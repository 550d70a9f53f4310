"""A Job of Kubernetes; the project lies in a volume claim that outlives the pods."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from provetune.errors import SpecError
from provetune.launching.job import HOPELESS
from provetune.launching.request import LaunchRequest

MOUNT = "/provetune"
RETRIES = 3
NOTICE_S = 120
KEPT_S = 86_400
"""How long a finished job can be looked at before Kubernetes takes it away."""


def write(request: LaunchRequest) -> str:
    """The manifest. A pod that is lost is replaced; the new one goes on from the last checkpoint."""
    instance, account = request.instance, request.account
    selector = {}
    if request.spot:
        name, _, value = _asked(account, "spot-label", "your spot nodes' label, such as cloud.google.com/gke-spot=true").partition("=")
        selector[name] = value
    if instance.gpu:
        seen = "what `kubectl get nodes -L nvidia.com/gpu.product` shows for them, such as NVIDIA-A100-SXM4-80GB"
        selector["nvidia.com/gpu.product"] = _asked(account, "gpu-product", seen)
    container = {
        "name": "provetune",
        "image": request.image,
        "command": request.command(f"{MOUNT}/{request.project}"),
        "volumeMounts": [{"name": "project", "mountPath": MOUNT}, {"name": "shared-memory", "mountPath": "/dev/shm"}],
        "resources": {"limits": {"nvidia.com/gpu": str(instance.devices)} if instance.gpu else {"cpu": "8"}},
    }
    pod = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": NOTICE_S,
        **({"nodeSelector": selector} if selector else {}),
        "containers": [container],
        "volumes": [
            {"name": "project", "persistentVolumeClaim": {"claimName": request.bucket.removeprefix("pvc://")}},
            {"name": "shared-memory", "emptyDir": {"medium": "Memory"}},  # ranks of one machine speak through it
        ],
    }
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": request.name, **({"namespace": account["namespace"]} if account.get("namespace") else {})},
        "spec": {
            "backoffLimit": RETRIES,
            "podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": list(HOPELESS)}}]},
            "activeDeadlineSeconds": request.seconds,
            "ttlSecondsAfterFinished": KEPT_S,
            "template": {"spec": pod},
        },
    }
    return yaml.safe_dump(job, sort_keys=False)


def _asked(account: Mapping[str, str], name: str, where: str) -> str:
    if not account.get(name):
        raise SpecError(f"--account {name}=...: found none, wanted {where}")
    return account[name]
