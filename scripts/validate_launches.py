"""Check job specs by the vendors' own rules, in a venv of its own: `build/launch-venv/bin/python scripts/validate_launches.py FILE...`.

SageMaker: botocore's model of the service, and a job made and described in moto. Kubernetes: the published schema. Prints one line
for each file; the exit code is the number of refused ones.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

INSTANCES = Path(__file__).parents[1] / "src" / "provetune" / "launching" / "instances.csv"


def sagemaker(file: Path) -> str:
    """What is wrong with a CreateTrainingJob request; empty where nothing is."""
    import boto3
    import botocore.session
    from botocore.validate import ParamValidator
    from moto import mock_aws

    job = json.loads(file.read_text(encoding="utf-8"))
    model = botocore.session.get_session().get_service_model("sagemaker")
    report = ParamValidator().validate(job, model.operation_model("CreateTrainingJob").input_shape)
    if report.has_errors():
        return str(report.generate_report())
    known = set(model.shape_for("TrainingInstanceType").enum)
    with INSTANCES.open(encoding="utf-8") as table:
        ours = {row["instance"] for row in csv.DictReader(table) if row["target"] == "sagemaker"}
    if unknown := sorted((ours | {job["ResourceConfig"]["InstanceType"]}) - known):
        return f"no such instance types: {', '.join(unknown)}"
    with mock_aws():
        client = boto3.client("sagemaker", region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none")
        client.create_training_job(**job)
        made = client.describe_training_job(TrainingJobName=job["TrainingJobName"])
    kept = {key: made.get(key) for key in ("CheckpointConfig", "ResourceConfig", "StoppingCondition")}
    return "" if kept == {key: job[key] for key in kept} else f"kept as {kept}"


def kubernetes(file: Path) -> str:
    """What is wrong with a manifest; empty where nothing is."""
    program = Path(sys.executable).with_name("kubernetes-validate")
    done = subprocess.run([program, "--strict", str(file)], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def main(files: list[str]) -> int:
    """Check each file by the vendor that its name begins with."""
    refused = 0
    for name in files:
        file = Path(name)
        wrong = {"sagemaker": sagemaker, "kubernetes": kubernetes}[file.name.partition("-")[0]](file)
        print(f"{file.name}: {wrong or 'accepted'}")
        refused += bool(wrong)
    return refused


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
