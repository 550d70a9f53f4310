"""One job for each target, as the golden files hold it."""

from __future__ import annotations

from provetune.launching import LaunchRequest, instance_for

BUCKETS = {
    "sky": "s3://my-bucket",
    "hf-jobs": "hf://buckets/me/my-bucket",
    "sagemaker": "s3://my-bucket/jobs",
    "vertex": "gs://my-bucket",
    "slurm": "/shared/projects",
    "kubernetes": "pvc://my-claim",
}
IMAGES = {
    "sagemaker": "123456789012.dkr.ecr.us-east-1.amazonaws.com/provetune:gpu",
    "vertex": "us-docker.pkg.dev/me/images/provetune:gpu",
    "slurm": "",
}
ACCOUNTS = {
    "sagemaker": {"role": "arn:aws:iam::123456789012:role/Training"},
    "vertex": {"region": "us-central1"},
    "slurm": {"partition": "gpu"},
    "kubernetes": {"gpu-product": "NVIDIA-A100-SXM4-80GB", "spot-label": "cloud.google.com/gke-spot=true", "namespace": "training"},
}


def request_for(target: str, gpu: str = "A100-80GB", devices: int = 8, *, spot: bool = False) -> LaunchRequest:
    return LaunchRequest(
        name="support-tickets-20261128-120000",
        project="support-tickets",
        instance=instance_for(target, gpu, devices),
        image=IMAGES.get(target, "registry.example/provetune:gpu"),
        max_hours=2.5,
        bucket=BUCKETS[target],
        spot=spot,
        account=ACCOUNTS.get(target, {}),
    )
