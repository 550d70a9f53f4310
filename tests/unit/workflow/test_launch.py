"""From a project to a job: machine and price by the plan, refusals, and the vendor's program as the only one that submits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from provetune.cli.launch import launch_lines
from provetune.errors import HardwareTooSmall, RunFailed, SpecError
from provetune.records.launching import LaunchPlan
from provetune.workflow.demo import lay_out
from provetune.workflow.launch import LaunchWish, plan_launch, submit

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
PRICES = """provider,sku,gpu,mem_gb,count,usd_per_hour,region,tier,as_of,source_url
aws,g6.xlarge,L4,24,1,0.80,us-east-1,on-demand,2026-11-20,https://example.org
aws,g6.xlarge,L4,24,1,0.30,us-east-1,spot,2026-11-20,https://example.org
lambda,one,L4,24,1,0.70,,on-demand,2026-11-20,https://example.org
gcp,g2-standard-24,L4,24,2,2.00,us-central1,on-demand,2025-01-01,https://example.org
"""
BUDGET = ("budget.max_usd=4",)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "prices.csv").write_text(PRICES, encoding="utf-8")
    return lay_out(tmp_path / "project")


def planned(project: Path, target: str = "sky", overrides: Sequence[str] = BUDGET, **given: object) -> LaunchPlan:
    bucket = {"sky": "s3://my-bucket", "vertex": "gs://my-bucket", "sagemaker": "s3://my-bucket", "slurm": "/shared"}[target]
    account = {"region": "us-central1", "role": "arn:aws:iam::123456789012:role/Training"}
    wish = {"gpu": "L4", "bucket": bucket, "image": "image:gpu", "account": account, "prices": project.parent / "prices.csv", **given}
    return plan_launch(project, overrides, LaunchWish(target, **wish), NOW)  # type: ignore[arg-type]


def test_the_budget_is_what_ends_the_job(project: Path) -> None:
    found = planned(project)
    assert (found.usd_per_hour, found.gpu, found.instance, found.price_from) == (
        0.70,
        "L4-24GB",
        "any",
        "lambda one, on-demand, 2026-11-20",
    )
    assert found.max_hours == pytest.approx(4 / 0.70) and found.usd_at_most == pytest.approx(4)
    task = yaml.safe_load(Path(found.file).read_text(encoding="utf-8"))
    assert f" {int(3600 * 4 / 0.7)} " in task["run"] and task["resources"]["accelerators"] == "L4:1"
    assert planned(project, overrides=("budget.max_usd=4", "budget.max_hours=2")).max_hours == 2
    assert planned(project, spot=True).usd_per_hour == 0.30
    assert planned(project, "sagemaker").price_from.startswith("aws g6.xlarge")
    assert planned(project, "slurm", ("budget.max_hours=2",)).usd_at_most == 0


def test_several_devices_take_a_machine_of_as_many(project: Path) -> None:
    found = planned(project, "vertex", (*BUDGET, "train.devices=2"))
    assert (found.instance, found.devices, found.max_hours) == ("g2-standard-24", 2, 2.0)
    assert any("the price is old" in text for text in found.warnings)
    spec = json.loads(Path(found.file).read_text(encoding="utf-8"))
    assert spec["workerPoolSpecs"][0]["containerSpec"]["args"][-1] == "train.devices=2"


def test_without_a_named_gpu_the_cheapest_that_fits_is_taken(project: Path) -> None:
    assert planned(project, gpu=None).gpu == "L4-24GB"
    assert planned(project, "sagemaker", ("budget.max_hours=2",), gpu="cpu").instance == "ml.m5.2xlarge"


def test_what_cannot_be_paid_or_had_is_refused(project: Path) -> None:
    with pytest.raises(HardwareTooSmall, match="the budget pays for 43 minutes"):
        planned(project, overrides=("budget.max_usd=0.5",))
    with pytest.raises(SpecError, match="found no limit that ends the job, wanted one; set budget.max_hours"):
        planned(project, overrides=())
    with pytest.raises(SpecError, match="no price of this machine is known"):
        planned(project, gpu="H100-80GB")
    assert planned(project, overrides=("budget.max_hours=3",), gpu="H100-80GB").usd_at_most is None
    with pytest.raises(SpecError, match="sagemaker has no machine with 1 x A100-80GB"):
        planned(project, "sagemaker", gpu="A100-80GB")
    with pytest.raises(SpecError, match="wanted one of A100-40GB, A100-80GB"):
        planned(project, gpu="A100")


def test_the_plan_says_what_to_do_in_which_order(project: Path) -> None:
    found = planned(project)
    assert found.commands[0] == "aws s3 sync . s3://my-bucket/support-tickets"
    assert found.commands[1] == f"sky jobs launch --yes --detach-run --name {found.name} {found.file}"
    text = "\n".join(line for line, _ in launch_lines(found))
    assert "at most 5.7 h and 4.00 $" in text and "Nothing was submitted" in text


def client(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """A program called `sky` that does as `body` says."""
    folder.mkdir()
    program = folder / "sky"
    program.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_only_the_vendors_program_submits(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = planned(project)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SpecError, match="sky is not installed, so nothing was submitted"):
        submit(found)
    client(tmp_path / "signed-out", monkeypatch, "echo no clouds >&2; exit 1")
    with pytest.raises(SpecError, match=r"`sky check` finds no credentials \(no clouds\)"):
        submit(found)
    client(tmp_path / "refuses", monkeypatch, 'test "$1" = check && exit 0; echo no quota >&2; exit 1')
    with pytest.raises(RunFailed, match="ended with 1: no quota"):
        submit(found)
    client(tmp_path / "works", monkeypatch, 'test "$1" = check || echo "$@"')
    assert submit(found).submitted == f"jobs launch --yes --detach-run --name {found.name} {found.file}"
