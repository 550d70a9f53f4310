"""Job specs: as the golden files hold them, and refused where they cannot work.

`python -m tests.unit.launching.test_targets` writes the golden files anew; do so only with a reason, and read the difference.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from provetune.errors import HardwareTooSmall, SpecError
from provetune.launching import TARGETS, check, instance_for, offered
from provetune.launching.job import main
from provetune.planning.gpus import gpus
from tests.unit.launching_by_hand import BUCKETS, request_for

GOLDEN = Path(__file__).parents[2] / "golden" / "launch"
CASES = [(target, case) for target in TARGETS for case in ("gpus", "spot", "cpu") if case != "spot" or TARGETS[target].spot]


def text_of(target: str, case: str) -> str:
    request = request_for(target, "", 1) if case == "cpu" else request_for(target, spot=case == "spot")
    check(TARGETS[target], request)
    return TARGETS[target].write(request)


@pytest.mark.parametrize(("target", "case"), CASES)
def test_specs_are_those_of_the_golden_files(target: str, case: str) -> None:
    assert text_of(target, case) == (GOLDEN / f"{target}-{case}{TARGETS[target].ending}").read_text(encoding="utf-8")


def test_every_golden_file_has_its_spec() -> None:
    assert {file.name for file in GOLDEN.iterdir()} == {f"{target}-{case}{TARGETS[target].ending}" for target, case in CASES}
    assert len(CASES) == 16


@pytest.mark.parametrize("target", TARGETS)
def test_every_spec_ends_resumes_and_keeps_its_work(target: str) -> None:
    request = request_for(target)
    text = TARGETS[target].write(request)
    assert "9000" in text or "02:30:00" in text, "2.5 hours end it"
    assert "provetune.launching.job" in text and "train.devices=8" in text
    assert request.bucket.removeprefix("gs://").removeprefix("pvc://") in text


@pytest.mark.parametrize("target", TARGETS)
def test_what_cannot_work_is_refused(target: str) -> None:
    request, place = request_for(target), TARGETS[target]
    with pytest.raises(SpecError, match=r"--bucket: found none, .*the machine is gone after the job"):
        check(place, replace(request, bucket=""))
    with pytest.raises(SpecError, match=r"--bucket: found 'ftp://elsewhere', wanted one that"):
        check(place, replace(request, bucket="ftp://elsewhere"))
    with pytest.raises(HardwareTooSmall, match=r"the budget pays for 54 minutes on .*, wanted 1 hour or more"):
        check(place, replace(request, max_hours=0.9))
    check(place, replace(request, max_hours=1.0))
    if place.image:
        with pytest.raises(SpecError, match="--image: found none"):
            check(place, replace(request, image=""))
    if place.needs:
        with pytest.raises(SpecError, match=rf"--account {next(iter(place.needs))}=...: found none"):
            check(place, replace(request, account={}))
    if place.spot:
        with pytest.raises(SpecError, match="a spot machine is taken away at any moment"):
            check(place, replace(request, bucket="", spot=True))
    else:
        with pytest.raises(SpecError, match="has no spot machines"):
            check(place, replace(request, spot=True))


def test_kubernetes_is_told_which_gpus_and_which_spot_nodes() -> None:
    request = request_for("kubernetes")
    with pytest.raises(SpecError, match="--account gpu-product"):
        TARGETS["kubernetes"].write(replace(request, account={}))
    with pytest.raises(SpecError, match="--account spot-label"):
        TARGETS["kubernetes"].write(replace(request, account={"gpu-product": "x"}, spot=True))


def test_no_such_machine_is_refused_with_what_there_is() -> None:
    with pytest.raises(
        SpecError, match=re.escape("sagemaker has no machine with 2 x A100-80GB (none that is known); sagemaker has A100-80GB in")
    ):
        instance_for("sagemaker", "A100-80GB", 2)
    with pytest.raises(SpecError, match=r"with 1 it has .*L4-24GB.*: name one with --gpu"):
        instance_for("vertex", "RTX4090-24GB", 1)
    with pytest.raises(SpecError, match="none with 3: set train.devices"):
        instance_for("hf-jobs", "L4-24GB-X", 3)
    with pytest.raises(SpecError, match="wanted 1 to 8, on one machine"):
        instance_for("slurm", "H100-80GB", 16)


@pytest.mark.parametrize("target", [name for name in TARGETS if name not in ("slurm", "kubernetes")])
def test_machines_have_kinds_that_the_plan_knows(target: str) -> None:
    known = {gpu.name for gpu in gpus()} | {""}
    machines = offered(target)
    assert {one.gpu for one in machines} <= known and len(machines) > 10
    assert len({(one.gpu, one.devices) for one in machines}) == len(machines), "one machine for each wish"
    assert all(instance_for(target, one.gpu, one.devices) == one for one in machines)


def test_buckets_of_other_vendors_are_refused() -> None:
    for target, place in TARGETS.items():
        accepted = {other for other, bucket in BUCKETS.items() if re.fullmatch(place.bucket[0], bucket)}
        assert target in accepted and re.fullmatch(place.bucket[0], place.bucket[1])
        assert accepted <= {"sky", "sagemaker", "vertex"} or accepted == {target}


@pytest.mark.parametrize(("code", "seen"), [(0, 0), (3, 0), (4, 0), (2, 2), (8, 8), (130, 130)])
def test_a_verdict_is_no_failure_of_the_job(code: int, seen: int) -> None:
    assert main([f"raise SystemExit({code})"], (sys.executable, "-c")) == seen
    assert main(["import os; os.kill(os.getpid(), 9)"], (sys.executable, "-c")) == 137


def test_the_end_of_the_job_is_passed_on() -> None:
    waiting = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(4)); print('ready', flush=True); time.sleep(60)"
    code = f"import sys; from provetune.launching.job import main; sys.exit(main([{waiting!r}], (sys.executable, '-c')))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None and job.stdout.readline() == "ready\n"
        time.sleep(0.1)
        job.send_signal(signal.SIGTERM)
        assert job.wait(timeout=20) == 0, "saved, and a verdict of its own"


if __name__ == "__main__":
    for target, case in CASES:
        (GOLDEN / f"{target}-{case}{TARGETS[target].ending}").write_text(text_of(target, case), encoding="utf-8")
