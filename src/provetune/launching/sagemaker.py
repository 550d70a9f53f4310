"""A training job of Amazon SageMaker: the request of `CreateTrainingJob`, which needs none of its libraries."""

from __future__ import annotations

import json

from provetune.launching.request import LaunchRequest

FOLDER = "/opt/ml/checkpoints"
"""SageMaker keeps this folder equal to the place in the bucket, from before the start to the end, and brings it back after a stop."""
VOLUME_GB = 200
RETRIES = 3


def write(request: LaunchRequest) -> str:
    """JSON as `aws sagemaker create-training-job --cli-input-json` reads it."""
    program, *arguments = request.command(FOLDER)
    place = f"{request.bucket.rstrip('/')}/{request.project}"
    # waiting for a spot machine counts, and costs nothing
    waiting = {"MaxWaitTimeInSeconds": 2 * request.seconds} if request.spot else {}
    job = {
        "TrainingJobName": request.name,
        "RoleArn": request.account["role"],
        "AlgorithmSpecification": {
            "TrainingImage": request.image,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": [program],
            "ContainerArguments": arguments,
        },
        "ResourceConfig": {"InstanceType": request.instance.name, "InstanceCount": 1, "VolumeSizeInGB": VOLUME_GB},
        "StoppingCondition": {"MaxRuntimeInSeconds": request.seconds, **waiting},
        "EnableManagedSpotTraining": request.spot,
        "RetryStrategy": {"MaximumRetryAttempts": RETRIES},
        "CheckpointConfig": {"S3Uri": place, "LocalPath": FOLDER},
        "OutputDataConfig": {"S3OutputPath": f"{place}/sagemaker-output"},
    }
    return json.dumps(job, indent=2) + "\n"
