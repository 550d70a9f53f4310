"""The search for the values of a training: what is tried for each method, each training in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from provetune.errors import SpecError
from provetune.hashing import fingerprint
from provetune.planning.budget import search_seconds
from provetune.planning.calibration import fits
from provetune.planning.memory import training_memory
from provetune.planning.request import PlanRequest
from provetune.planning.search import SearchRequest, default_space, search
from provetune.records.candidate import Method, Plan
from provetune.records.tuning_search import TuningSearch, Values
from provetune.store import StepKey, content_sha256
from provetune.workflow import steps
from provetune.workflow.prepare import Prepared
from provetune.workflow.project import Project
from provetune.workflow.trials import Trials


def searched(project: Project, prepared: Prepared, plan: Plan, *, allowed: bool) -> tuple[Plan, tuple[TuningSearch, ...]]:
    """The plan with the best values found for each method that will be trained, and the searches; as it was where none is asked for.

    Only validation decides. SpecError where nothing was searched yet and it is not `allowed` to.
    """
    if not project.spec.search.trials:
        return plan, ()
    request = steps.plan_request(project, prepared.train, 0)
    found = tuple(_searched(project, prepared, (plan, request, method), allowed=allowed) for method in plan.chosen if method != "head")
    key = StepKey("plan-searched", 1, {"plan": plan.fingerprint, "searches": fingerprint([one.fingerprint for one in found])})
    return project.store.once(key, Plan, lambda: with_winners(plan, found)), found


def with_winners(plan: Plan, found: Sequence[TuningSearch]) -> Plan:
    """The plan with what the searches found in place of its own values, and the reason beside each."""
    values, why = dict(plan.hyperparameters), dict(plan.why)
    for one in found:
        values[one.method] = one.winner
        tried = len({trial.number for trial in one.trials})
        changed = [key for key, value in one.winner.items() if value != one.start.get(key)]
        why |= {f"{one.method}.{key}": f"search: best of {tried} configurations by {one.metric} on validation" for key in changed}
    return plan.model_copy(update={"hyperparameters": values, "why": why})


def _searched(project: Project, prepared: Prepared, asked: tuple[Plan, PlanRequest, Method], *, allowed: bool) -> TuningSearch:
    plan, planned, method = asked
    spec, start, seed = project.spec.search, plan.hyperparameters[method], project.spec.train.seeds[0]
    space = {str(key): list(values) for key, values in spec.space.items()} or default_space(method, start)
    inputs = {
        "rows": fingerprint([content_sha256(prepared.train), content_sha256(prepared.validation)]),
        "recipe": fingerprint([method, start, space, spec.trials, seed, project.metric, prepared.settings.model_dump(mode="json")]),
        "model": fingerprint(project.model.model_dump(mode="json")),
    }
    folder = project.store.current / "search" / f"{method}-{fingerprint(inputs)}"
    trials = Trials(project, prepared, method, folder)

    def make() -> TuningSearch:
        if not allowed:
            raise SpecError(f"{method}: nothing was searched yet for this spec and data; run `provetune run` first")
        return search(
            SearchRequest(
                method=method,
                metric=project.metric,
                start=start,
                space=space,
                trials=spec.trials,
                rows=len(prepared.train),
                seed=seed,
                obstacle=lambda values: _obstacle(planned, method, values),
                train=trials.train,
                journal=folder / "journal.log",
                max_seconds=search_seconds(project.spec, plan, method),
            )
        )

    return project.store.once(StepKey(f"tuning-search-{method}", 1, inputs), TuningSearch, make)


def _obstacle(planned: PlanRequest, method: Method, values: Values) -> str:
    """Why a configuration does not fit into memory; empty where it does."""
    lora = planned.train.lora.model_copy(update={key: values[key] for key in ("r", "targets") if key in values})
    request = replace(planned, train=planned.train.model_copy(update={"lora": lora}))
    lengths = [length for length in request.row_lengths if length <= int(values["max_length"])]
    memory, p90 = training_memory(request, method, longest=max(lengths), batch_size=int(values["batch_size"]))
    available = request.hardware.memory_gib
    if memory.value is None or fits(memory.value, p90, available) != "does not fit":
        return ""
    return f"needs about {memory.value:.1f} GiB, {available:.1f} GiB are there"
