"""What a job somewhere else is made from, and what of it cannot work."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from provetune.errors import HardwareTooSmall, SpecError
from provetune.spec import BudgetSpec

OWN = ("slurm", "kubernetes")
"""Targets of one's own machines: any kind of GPU may be there."""
LEAST_HOURS = 1.0
"""A shorter job is mostly start-up: image, model and data are fetched first."""
ON_BOARD = 8
"""Most GPUs of one machine."""


@dataclass(frozen=True)
class Instance:
    """A machine of a target: its name there, the kind of its `devices` GPUs (empty: none), and what the target calls that kind."""

    name: str
    gpu: str
    devices: int
    accelerator: str = ""


@dataclass(frozen=True)
class LaunchRequest:
    """One job on one machine. `bucket` outlives the job and holds the project folder under `project`; `max_hours` ends it.

    `account` is what only the user knows, by name: a role, a region, a partition. The command is that of every resume.
    """

    name: str
    project: str
    instance: Instance
    image: str
    max_hours: float
    bucket: str
    spot: bool = False
    account: Mapping[str, str] = field(default_factory=dict)

    @property
    def seconds(self) -> int:
        """After which the job is ended."""
        return int(3600 * self.max_hours)

    def command(self, folder: str) -> list[str]:
        """What runs, in a project folder as the job sees it; after an interruption the same again."""
        devices = ["--set", f"train.devices={self.instance.devices}"] if self.instance.devices > 1 else []
        return ["python", "-m", "provetune.launching.job", "-C", folder, "run", *devices]


@dataclass(frozen=True)
class Target:
    """A place that runs jobs: how its spec is written, checked and handed over.

    `bucket` is the form of a bucket's name with an example, `needs` are names in `account` with where to find them; `spot` whether
    machines that may be taken away are to be had. `client` is the vendor's program, `signed_in` its command that succeeds with
    credentials alone; `submit` and `then` may hold {file}, {name}, {project}, {bucket}, and names in `account`.
    """

    name: str
    write: Callable[[LaunchRequest], str]
    ending: str
    bucket: tuple[str, str]
    providers: tuple[str, ...]
    spot: bool
    client: str
    signed_in: tuple[str, ...]
    before: str
    submit: tuple[str, ...]
    then: tuple[str, ...]
    needs: Mapping[str, str] = field(default_factory=dict)
    image: str = "a name in a registry that the job can read"


@cache
def _table() -> tuple[tuple[str, tuple[int, ...], Instance], ...]:
    text = files("provetune.launching").joinpath("instances.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(io.StringIO(text))
    return tuple(
        (row["target"], tuple(map(int, row["devices"].split())), Instance(row["instance"], row["gpu"], 0, row["accelerator"]))
        for row in rows
    )


def offered(target: str) -> list[Instance]:
    """All machines of a target that are known, with each number of GPUs."""
    return [Instance(one.name, one.gpu, count, one.accelerator) for name, counts, one in _table() if name == target for count in counts]


def instance_for(target: str, gpu: str, devices: int) -> Instance:
    """The target's machine with exactly so many of these GPUs: none is paid for that idles. SpecError where there is none.

    >>> instance_for("vertex", "L4-24GB", 2).name
    'g2-standard-24'
    """
    if target in OWN:
        if not 1 <= devices <= ON_BOARD:
            raise SpecError(f"train.devices is {devices}, wanted 1 to {ON_BOARD}, on one machine")
        return Instance("own", gpu, devices)
    found = next((one for one in offered(target) if (one.gpu, one.devices) == (gpu, devices)), None)
    if found is None:
        same = sorted({one.devices for one in offered(target) if one.gpu == gpu})
        kinds = sorted({one.gpu for one in offered(target) if one.gpu and one.devices == devices})
        hint = (
            f"{target} has {gpu} in machines of {', '.join(map(str, same))}: set train.devices" if same else _kinds(target, devices, kinds)
        )
        raise SpecError(f"{target} has no machine with {devices} x {gpu or 'CPU'} (none that is known); {hint}")
    return found


def _kinds(target: str, devices: int, kinds: Sequence[str]) -> str:
    return f"with {devices} it has {', '.join(kinds)}: name one with --gpu" if kinds else f"it has none with {devices}: set train.devices"


def check(target: Target, request: LaunchRequest) -> None:
    """Raise SpecError or HardwareTooSmall for a job that cannot work, or that would lose what it has done."""
    form, example = target.bucket
    if not request.bucket:
        why = "a spot machine is taken away at any moment" if request.spot else "the machine is gone after the job"
        raise SpecError(f"--bucket: found none, wanted where checkpoints outlive the job, such as {example}; {why}")
    if not re.fullmatch(form, request.bucket):
        raise SpecError(f"--bucket: found {request.bucket!r}, wanted one that {target.name} can reach, such as {example}")
    if request.spot and not target.spot:
        raise SpecError(f"--spot: {target.name} has no spot machines; leave it out")
    if not request.image and target.image:
        raise SpecError(f"--image: found none, wanted {target.image}; the Containerfile of this package builds one, see docs/launch.md")
    missing = {name: where for name, where in target.needs.items() if not request.account.get(name)}
    if missing:
        raise SpecError("; ".join(f"--account {name}=...: found none, wanted {where}" for name, where in missing.items()))
    if request.max_hours < LEAST_HOURS:
        raise HardwareTooSmall(
            f"the budget pays for {60 * request.max_hours:.0f} minutes on {request.instance.name}, wanted {LEAST_HOURS:g} hour or more: "
            "less is gone before training starts. Raise budget.max_usd or budget.max_hours, or take a cheaper GPU with --gpu"
        )


def hours_paid(budget: BudgetSpec, rate: float | None) -> float:
    """Hours that the budget pays for. SpecError where it has no end, or none that can be told without a price."""
    limits = [budget.max_hours] if budget.max_hours is not None else []
    if budget.max_usd is not None and rate:
        limits.append(budget.max_usd / rate)
    if not limits:
        why = (
            "no price of this machine is known: set budget.max_hours, or give its price with --prices"
            if rate is None
            else "set budget.max_hours"
        )
        raise SpecError(f"budget: found no limit that ends the job, wanted one; {why}")
    return min(limits)
