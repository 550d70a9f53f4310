"""Job specs before the vendors' own rules; `make validators` installs them beside this package, not into its environment."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden" / "launch"
PYTHON = ROOT / "build" / "launch-venv" / "bin" / "python"


def validated(*files: Path) -> subprocess.CompletedProcess[str]:
    assert PYTHON.exists(), "run `make validators`"
    return subprocess.run([PYTHON, ROOT / "scripts" / "validate_launches.py", *files], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_amazon_and_kubernetes_accept_what_is_written() -> None:
    files = [*GOLDEN.glob("sagemaker-*"), *GOLDEN.glob("kubernetes-*")]
    assert len(files) == 6
    done = validated(*files)
    assert done.returncode == 0 and done.stdout.count(": accepted") == 6, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("change", ["instance", "runtime", "name"])
def test_amazon_refuses_a_damaged_job(tmp_path: Path, change: str) -> None:
    job = json.loads((GOLDEN / "sagemaker-gpus.json").read_text(encoding="utf-8"))
    if change == "instance":
        job["ResourceConfig"]["InstanceType"] = "ml.p99.huge"
    elif change == "runtime":
        job["StoppingCondition"]["MaxRuntimeInSeconds"] = "three hours"
    else:
        del job["TrainingJobName"]
    file = tmp_path / "sagemaker-damaged.json"
    file.write_text(json.dumps(job), encoding="utf-8")
    assert validated(file).returncode == 1


@pytest.mark.slow
def test_kubernetes_refuses_an_unknown_field(tmp_path: Path) -> None:
    file = tmp_path / "kubernetes-damaged.yaml"
    text = (GOLDEN / "kubernetes-gpus.yaml").read_text(encoding="utf-8")
    file.write_text(text.replace("backoffLimit", "retries"), encoding="utf-8")
    assert validated(file).returncode == 1


@pytest.mark.slow
@pytest.mark.parametrize("case", ["gpus", "cpu"])
def test_the_command_line_of_hugging_face_takes_the_job(case: str) -> None:
    line = (GOLDEN / f"hf-jobs-{case}.sh").read_text(encoding="utf-8").splitlines()[-1]
    words = shlex.split(line.removeprefix("exec "))
    environment = {**os.environ, "HF_TOKEN": "none", "HF_HUB_OFFLINE": "1", "NO_COLOR": "1"}
    command = [str(Path(sys.executable).with_name("hf")), *words[1:3], "--dry-run", *words[4:]]
    assert words[3] == "--detach"
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert "hf://buckets/me/my-bucket:/provetune:rw" in done.stdout and "timeout   9000s" in done.stdout


@pytest.mark.parametrize("case", ["gpus", "cpu"])
def test_the_shell_reads_the_batch_script(case: str) -> None:
    assert subprocess.run(["bash", "-n", GOLDEN / f"slurm-{case}.sbatch"], check=False).returncode == 0
