"""Launching: a job's spec for each place that runs jobs, all of one signature; what cannot work is refused before anything is paid."""

from __future__ import annotations

from provetune.launching import hf_jobs, kubernetes, sagemaker, sky, slurm, vertex
from provetune.launching.request import Instance, LaunchRequest, Target, check, instance_for, offered

__all__ = ["TARGETS", "Instance", "LaunchRequest", "Target", "check", "instance_for", "offered"]

TARGETS: dict[str, Target] = {
    "sky": Target(
        name="sky",
        write=sky.write,
        ending=".yaml",
        bucket=(r"(s3|gs|r2)://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]", "s3://my-bucket"),
        providers=("aws", "gcp", "azure", "lambda", "runpod", "nebius", "vast", "hyperstack"),
        spot=True,
        client="sky",
        signed_in=("sky", "check"),
        before="aws s3 sync . {bucket}/{project}",
        submit=("sky", "jobs", "launch", "--yes", "--detach-run", "--name", "{name}", "{file}"),
        then=("sky jobs logs --name {name}", "aws s3 sync {bucket}/{project} .", "sky jobs cancel --name {name}", "sky status"),
    ),
    "hf-jobs": Target(
        name="hf-jobs",
        write=hf_jobs.write,
        ending=".sh",
        bucket=(r"hf://buckets/[\w.-]+/[\w.-]+", "hf://buckets/me/my-bucket"),
        providers=("huggingface-jobs",),
        spot=False,
        client="hf",
        signed_in=("hf", "auth", "whoami"),
        before="hf buckets sync . {bucket}/{project}",
        submit=("sh", "{file}"),
        then=("hf jobs ps", "hf jobs logs JOB_ID", "hf buckets sync {bucket}/{project} .", "hf jobs cancel JOB_ID"),
    ),
    "sagemaker": Target(
        name="sagemaker",
        write=sagemaker.write,
        ending=".json",
        bucket=(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w./-]*)?", "s3://my-bucket"),
        providers=("aws",),
        spot=True,
        client="aws",
        signed_in=("aws", "sts", "get-caller-identity"),
        before="aws s3 sync . {bucket}/{project}",
        submit=("aws", "sagemaker", "create-training-job", "--cli-input-json", "file://{file}"),
        then=(
            "aws logs tail /aws/sagemaker/TrainingJobs --log-stream-name-prefix {name} --follow",
            "aws s3 sync {bucket}/{project} .",
            "aws sagemaker stop-training-job --training-job-name {name}",
        ),
        needs={"role": "the ARN of the role that the job runs as, arn:aws:iam::123456789012:role/NAME"},
        image="one in your registry, 123456789012.dkr.ecr.REGION.amazonaws.com/NAME:TAG",
    ),
    "vertex": Target(
        name="vertex",
        write=vertex.write,
        ending=".json",
        bucket=(r"gs://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9](/[\w./-]*)?", "gs://my-bucket"),
        providers=("gcp",),
        spot=True,
        client="gcloud",
        signed_in=("gcloud", "auth", "print-access-token", "--quiet"),
        before="gcloud storage rsync --recursive . {bucket}/{project}",
        submit=("gcloud", "ai", "custom-jobs", "create", "--display-name={name}", "--region={region}", "--config={file}"),
        then=(
            "gcloud ai custom-jobs stream-logs JOB_ID --region={region}",
            "gcloud storage rsync --recursive {bucket}/{project} .",
            "gcloud ai custom-jobs cancel JOB_ID --region={region}",
        ),
        needs={"region": "where the job runs, such as us-central1"},
    ),
    "slurm": Target(
        name="slurm",
        write=slurm.write,
        ending=".sbatch",
        bucket=(r"/[^\s]+", "/shared/projects"),
        providers=(),
        spot=False,
        client="sbatch",
        signed_in=("sinfo",),
        before="cp -r . {bucket}/{project}",
        submit=("sbatch", "{file}"),
        then=("squeue --name {name}", "tail -f {name}-JOB_ID.out", "scancel --name {name}"),
        image="",
    ),
    "kubernetes": Target(
        name="kubernetes",
        write=kubernetes.write,
        ending=".yaml",
        bucket=(r"pvc://[a-z0-9]([a-z0-9.-]*[a-z0-9])?", "pvc://my-claim"),
        providers=(),
        spot=True,
        client="kubectl",
        signed_in=("kubectl", "auth", "can-i", "create", "jobs"),
        before="kubectl cp . POD_WITH_THE_CLAIM:/{project}",
        submit=("kubectl", "apply", "-f", "{file}"),
        then=("kubectl logs --follow job/{name}", "kubectl cp POD_WITH_THE_CLAIM:/{project} .", "kubectl delete job {name}"),
    ),
}
"""By the name that the command line takes."""
