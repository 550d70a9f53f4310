"""The probe: a few real optimizer steps of each method of the plan, in a process of its own; the plan corrected by them.

The batches are those of the training to come: the one with the largest pack of all its steps, for the memory, and usual ones of its
first epoch, for the speed. Everything else is a training, too: the look at validation (at its longest rows), a checkpoint, the weights.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from provetune.chat import TokenRow, encode_training
from provetune.engine.packing import PackSettings, pack_rows, plan_epoch, tokens_of
from provetune.errors import HardwareTooSmall, RunFailed
from provetune.hashing import fingerprint
from provetune.planning.measured import corrected
from provetune.planning.memory import PACK_TOKENS
from provetune.records.candidate import PREFERENCE, Method, Plan
from provetune.records.data import Example
from provetune.records.probe import Probe, ProbeStep, ProbeTaken
from provetune.records.tuning_search import TrialJob
from provetune.store import StepKey, content_sha256, write_atomic
from provetune.workflow import steps
from provetune.workflow.prepare import Prepared, prepare
from provetune.workflow.project import Project, begin_run, need_torch, processor
from provetune.workflow.trials import FAILED, JOB_FILE

TAKEN_FILE = "taken.json"
STEPS = 5
MOST_PLANNED = 3000
"""Optimizer steps among which the one with the largest pack is looked for; those of later epochs differ little."""
LOOK_ROWS = 64
"""Validation rows that a probe looks at, the longest: one batch of completions."""
KILLED = -9
"""How a process ends that the system stops for want of memory."""


@dataclass(frozen=True)
class Batch:
    """The rows of one optimizer step, by number, with the tokens of each of their packs."""

    numbers: tuple[int, ...]
    packs: tuple[int, ...]
    tokens: int


def probed_plan(project: Project) -> tuple[Plan, tuple[Probe, ...]]:
    """Plan, probe each method that was chosen, and correct the plan. Nothing is opened, no weights are kept.

    Raises what a run would before it trains; HardwareTooSmall where, measured, no method fits.
    """
    need_torch()
    with project.store.locked():
        begin_run(project)
        prepared = prepare(project)
        plan = steps.plan_project(project, prepared.split, prepared.train)
        probes, dead = [], {}
        for method in plan.chosen:
            if method in (*PREFERENCE, "head"):
                continue  # another loop trains them
            try:
                probes.append(probe(project, prepared, plan, method))
            except HardwareTooSmall as error:
                dead[method] = str(error)
    if dead and set(dead) == set(plan.chosen):
        raise HardwareTooSmall("; ".join(f"{method}: {why}" for method, why in dead.items()))
    options = tuple(o.model_copy(update={"fits": "does not fit", "note": dead[o.method]}) if o.method in dead else o for o in plan.options)
    left = plan.model_copy(update={"options": options, "chosen": tuple(m for m in plan.chosen if m not in dead)})
    return corrected(left, probes, ()), tuple(probes)


def probe(project: Project, prepared: Prepared, plan: Plan, method: Method) -> Probe:
    """The probe of one method with the plan's values, taken once; HardwareTooSmall where the machine has not enough memory for it."""
    values = plan.hyperparameters[method]
    seed = project.spec.train.seeds[0]
    inputs = {
        "rows": fingerprint([content_sha256(prepared.train), content_sha256(prepared.validation)]),
        "recipe": fingerprint([method, values, seed, project.metric, prepared.settings.model_dump(mode="json")]),
        "model": fingerprint(project.model.model_dump(mode="json")),
        "machine": processor(),
    }
    folder = project.store.current / "probe" / f"{method}-{fingerprint(inputs)}"

    def make() -> Probe:
        project.progress(f"probe: {STEPS} optimizer steps of {method}", 0, 1)
        rows = [(e, encode_training(e.messages, project.tokenizer, e.source)) for e in prepared.train]
        kept = [(example, row) for example, row in rows if len(row) <= int(values["max_length"])]
        taken_at_once = {**values, "epochs": 1, "batch_size": min(int(values["batch_size"]), len(kept))}
        batches = batches_of([row for _, row in kept], values, seed)
        lengths = dict(zip((e.id for e in prepared.validation), row_lengths(project, prepared.validation), strict=True))
        longest = sorted(lengths, key=lambda name: (-lengths[name], name))[:LOOK_ROWS]
        job = TrialJob(
            project=str(project.folder.resolve()),
            run=project.store.current.name,
            method=method,
            values=taken_at_once,
            seed=seed,
            settings=prepared.settings,
            train_ids=tuple(kept[number][0].id for number in in_the_order_of(batches, seed)),
            validation_ids=tuple(longest),
        )
        taken = in_a_process(job, folder)
        project.progress(f"probe: {STEPS} optimizer steps of {method}", 1, 1)
        return _record(project, plan, method, (batches, taken))

    found = project.store.once(StepKey(f"probe-{method}", 1, inputs), Probe, make)
    shutil.rmtree(folder, ignore_errors=True)
    return found


def batches_of(rows: Sequence[TokenRow], values: dict[str, float | int | str], seed: int) -> list[Batch]:
    """The optimizer steps of a probe: the first warms up, the second has the largest pack of all, the others are of usual size."""
    size, epochs = int(values["batch_size"]), int(values["epochs"])
    planned = [step for epoch in range(epochs) for step in plan_epoch(len(rows), size, seed, epoch)][:MOST_PLANNED]
    whole = [step for step in planned if len(step) == min(size, len(rows))]
    lengths = [len(row) for row in rows]
    found = []
    for numbers in whole:
        packs = tuple(tokens_of(pack, lengths) for pack in pack_rows(rows, numbers, PackSettings(PACK_TOKENS, share=True)))
        found.append(Batch(tuple(numbers), packs, sum(lengths[number] for number in numbers)))
    worst = max(found, key=lambda batch: (max(batch.packs), batch.tokens))
    mean = sum(batch.tokens for batch in found) / len(found)
    usual = sorted(found, key=lambda batch: abs(batch.tokens - mean))[: STEPS - 1]
    usual += usual[:1] * (STEPS - 1 - len(usual))
    return [usual[0], worst, *usual[1:]]


def in_the_order_of(batches: Sequence[Batch], seed: int) -> list[int]:
    """Row numbers in the order in which a training has to be given them so that its first epoch takes the batches as they are."""
    wanted = [number for batch in batches for number in batch.numbers]
    shuffled = [place for step in plan_epoch(len(wanted), len(batches[0].numbers), seed, 0) for place in step]
    given = [0] * len(wanted)
    for place, number in zip(shuffled, wanted, strict=True):
        given[place] = number
    return given


def row_lengths(project: Project, examples: Sequence[Example]) -> list[int]:
    """Tokens of each row, with the template."""
    return [len(encode_training(e.messages, project.tokenizer, e.source)) for e in examples]


def in_a_process(job: TrialJob, folder: Path) -> ProbeTaken:
    """Train as the job says in a new process that watches its own memory; HardwareTooSmall where memory does not suffice."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_atomic(folder / JOB_FILE, job.model_dump_json())
    command = [sys.executable, "-m", "provetune.workflow.probe_job", str(folder)]
    done = subprocess.run(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, check=False)
    if done.returncode == 0:
        return ProbeTaken.model_validate_json((folder / TAKEN_FILE).read_text(encoding="utf-8"))
    last = done.stderr.strip().rpartition("\n")[2]
    if done.returncode == KILLED:
        raise HardwareTooSmall("the system stopped the probe, as it does where memory runs out; use a smaller base, or a lower batch_size")
    if done.returncode in FAILED:
        raise HardwareTooSmall(last)
    raise RunFailed(f"the probe ended with {done.returncode}: {last}")


def _record(project: Project, plan: Plan, method: Method, found: tuple[Sequence[Batch], ProbeTaken]) -> Probe:
    batches, taken = found
    times = [(after[0] - before[0], after[1] - before[1]) for before, after in zip(taken.marks, taken.marks[1:], strict=False)]
    timed = dict(enumerate(times[:-1], start=1))  # the last step's also holds the look at validation
    steps_taken = [
        ProbeStep(
            rows=len(batch.numbers),
            tokens=batch.tokens,
            packs=len(batch.packs),
            largest_pack=max(batch.packs),
            seconds=timed[place][0] if place in timed else None,
            cpu_seconds=timed[place][1] if place in timed else None,
        )
        for place, batch in enumerate(batches)
    ]
    return Probe(
        method=method,
        model=project.model,
        machine=processor(),
        values=plan.hyperparameters[method],
        steps=tuple(steps_taken),
        **taken.model_dump(exclude={"marks"}),
    )
