"""Search for the values of a training: Optuna proposes, subsets of the rows sort out, all rows decide.

A configuration is first trained on a ninth of the rows, the better third of them on a third, the best on all; each training has a schedule
of its own from warm-up to zero, as losses midway at different learning rates cannot be compared. On fewer than FEW_ROWS rows subsets say
too little: all are trained on all rows, and the best two again with other seeds. The plan's own values are always among the last.
"""

from __future__ import annotations

import math
import statistics
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provetune.records.candidate import Method
from provetune.records.tuning_search import TuningSearch, TuningTrial, Values

SHARES = (1 / 9, 1 / 3, 1.0)
KEPT = 3
"""One in so many configurations goes on to the next rung."""
FEW_ROWS, RUNG_ROWS = 500, 100
"""Rows below which all rows are used at once; fewest rows of a rung."""
SEEDS, FINALISTS = 3, 2


@dataclass(frozen=True)
class Job:
    """What is to be trained: the configuration, on the first `rows` training rows, with `seed`."""

    number: int
    rung: int
    rows: int
    seed: int
    values: Values


@dataclass(frozen=True)
class SearchRequest:
    """`start` are the plan's values; `obstacle` says why a configuration cannot be trained (empty where it can); `train` does it.

    `journal` is the file of Optuna's storage: a search that is killed goes on with it. `max_seconds` bounds all trainings together.
    """

    method: Method
    metric: str
    start: Values
    space: dict[str, list[float | int | str]]
    trials: int
    rows: int
    seed: int
    obstacle: Callable[[Values], str]
    train: Callable[[Job], TuningTrial]
    journal: Path
    max_seconds: float = math.inf


def default_space(method: Method, start: Values) -> dict[str, list[float | int | str]]:
    """What is searched where the project file names nothing: the learning rate over two decades, then epochs, batch and rank.

    >>> default_space("full", {"learning_rate": 0.001, "epochs": 4, "batch_size": 16})
    {'learning_rate': [0.0001, 0.005], 'epochs': [1, 2, 4], 'batch_size': [8, 16, 32]}
    """
    rate, epochs, batch = float(start["learning_rate"]), int(start["epochs"]), int(start["batch_size"])
    space: dict[str, list[float | int | str]] = {
        "learning_rate": [rate / 10, rate * 5],
        "epochs": [*sorted({max(1, epochs // 4), max(1, epochs // 2), epochs})],
        "batch_size": [max(1, batch // 2), batch, 2 * batch],
    }
    return space if method == "full" else {**space, "lora.r": [8, 16, 32, 64]}


def applied(start: Values, point: Values) -> Values:
    """The values of a training with those of one point of the space; the scale of an adapter stays in proportion to its rank.

    >>> applied({"r": 16, "alpha": 32, "epochs": 3}, {"lora.r": 8, "epochs": 1})
    {'r': 8, 'alpha': 16, 'epochs': 1}
    """
    values = {**start, **{key.removeprefix("lora."): _short(value) for key, value in point.items()}}
    if "lora.r" in point:
        values["alpha"] = round(float(start["alpha"]) / float(start["r"]) * float(values["r"]))
    return values


def _short(value: float | int | str) -> float | int | str:
    return float(f"{value:.3g}") if isinstance(value, float) else value


def rung_rows(rows: int) -> tuple[int, ...]:
    """Training rows of each rung; the last holds all.

    >>> rung_rows(450), rung_rows(600), rung_rows(9000)
    ((450,), (200, 600), (1000, 3000, 9000))
    """
    return tuple(part for share in SHARES if (part := round(rows * share)) == rows or (rows >= FEW_ROWS and part >= RUNG_ROWS))


def search(request: SearchRequest) -> TuningSearch:
    """Try `request.trials` configurations and return the best with everything that was tried.

    Ends early, with the best so far, once `request.max_seconds` are used up. A training that fails is written down and passed over; where
    none succeeds the winner is the start.
    """
    rungs = rung_rows(request.rows)
    run = _Search(request)
    ranked = _ranked(run.first_rung(rungs[0]))
    own = [trial for trial in ranked if trial.number == 0]
    for rung, rows in enumerate(rungs[1:], start=1):
        going_on = ranked[: max(1, len(ranked) // KEPT)]
        if rows == request.rows and 0 not in {trial.number for trial in going_on}:
            going_on += own
        ranked = _ranked(run.trained([Job(one.number, rung, rows, request.seed, one.values) for one in going_on])) or ranked
    if len(rungs) == 1:
        again = [Job(one.number, 1, request.rows, request.seed + k, one.values) for one in ranked[:FINALISTS] for k in range(1, SEEDS)]
        ranked = _ranked_over_seeds(ranked[:FINALISTS], run.trained(again)) + ranked[FINALISTS:]
    best = ranked[0] if ranked else None
    scores = [trial.score for trial in run.done if best and trial.number == best.number and trial.rows == request.rows and trial.score]
    return TuningSearch(
        method=request.method,
        metric=request.metric,
        seed=request.seed,
        space={key: tuple(values) for key, values in request.space.items()},
        rung_rows=rungs,
        trials=tuple(run.done),
        start=request.start,
        winner=best.values if best else request.start,
        winner_number=best.number if best else 0,
        spread=statistics.stdev(scores) if len(scores) > 1 else None,
        tokens=sum(trial.tokens for trial in run.done),
        seconds=run.seconds,
        stopped_because="time limit" if run.over else "all configurations tried" if best else "no training succeeded",
    )


def _order(trial: TuningTrial) -> tuple[float, float, int]:
    """Highest score, then lowest loss, then the earlier configuration."""
    return (-math.inf if trial.score is None else -trial.score, math.inf if trial.loss is None else trial.loss, trial.number)


def _ranked(trials: Sequence[TuningTrial]) -> list[TuningTrial]:
    return sorted((trial for trial in trials if trial.state == "done"), key=_order)


def _ranked_over_seeds(finalists: Sequence[TuningTrial], again: Sequence[TuningTrial]) -> list[TuningTrial]:
    def mean_score(one: TuningTrial) -> tuple[float, float, int]:
        orders = [_order(trial) for trial in (one, *again) if trial.number == one.number and trial.state == "done"]
        return (statistics.fmean(order[0] for order in orders), statistics.fmean(order[1] for order in orders), one.number)

    return sorted(finalists, key=mean_score)


class _Search:
    """The trainings of one search, in order."""

    def __init__(self, request: SearchRequest) -> None:
        self.request = request
        self.done: list[TuningTrial] = []

    @property
    def seconds(self) -> float:
        return sum(trial.seconds for trial in self.done)

    @property
    def over(self) -> bool:
        return self.seconds > self.request.max_seconds

    def trained(self, jobs: Sequence[Job]) -> list[TuningTrial]:
        """Train one after the other as long as there is time."""
        found = []
        for job in jobs:
            if self.over:
                break
            obstacle = self.request.obstacle(job.values)
            left_out = TuningTrial(**vars(job), state="left out", note=obstacle)
            found.append(left_out if obstacle else self.request.train(job))
            self.done.append(found[-1])
        return found

    def first_rung(self, rows: int) -> list[TuningTrial]:
        """Ask for configurations and train each on `rows` rows; the plan's own first, then learning rates, then whatever looks best."""
        request, first = self.request, first_points(self.request)
        study = _study(request.journal, request.method)
        distributions = _distributions(request.space)
        found: list[TuningTrial] = []
        for number in range(request.trials):
            asked = _known(study, number)
            if asked is None:
                if number < len(first):
                    study.enqueue_trial(first[number])
                study.sampler = _sampler(request.seed + number, len(first))
                study.ask(distributions).set_user_attr("number", number)
                asked = _known(study, number)
            tried = self.trained([Job(number, 0, rows, request.seed, applied(request.start, asked.params))])
            found += tried
            if tried and not asked.state.is_finished():
                score, loss, _ = _order(tried[0])
                done = tried[0].state == "done"
                study.tell(asked.number, -score - 1e-4 * loss if done else None, state=None if done else _failed())
        return found


def first_points(request: SearchRequest) -> list[Values]:
    """The point nearest to the start, then learning rates spread evenly over their range (log scale), a third of all trials in all."""
    rate = "learning_rate"
    near: Values = {
        key: min(max(float(request.start[rate]), float(min(values))), float(max(values)))
        if key == rate and len(values) == 2
        else _nearest(request.start, key, values)
        for key, values in request.space.items()
    }
    count = max(0, request.trials // 3 - 1)
    rates: list[float | int | str] = list(request.space.get(rate, []))
    if len(rates) == 2:
        low, high = sorted(map(float, rates))
        rates = [low * (high / low) ** ((k + 0.5) / count) for k in range(count)]
    return [near, *({**near, rate: value} for value in rates[:count])]


def _nearest(start: Values, key: str, values: Sequence[float | int | str]) -> float | int | str:
    own = start.get(key.removeprefix("lora."))
    return own if own in values and own is not None else values[len(values) // 2]


def _distributions(space: dict[str, list[float | int | str]]) -> dict[str, Any]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    found: dict[str, Any] = {}
    for key, values in space.items():
        if key == "learning_rate" and len(values) == 2:
            low, high = sorted(map(float, values))
            found[key] = FloatDistribution(low, high, log=True)
        else:
            found[key] = CategoricalDistribution(values)
    return found


def _study(journal: Path, name: str) -> Any:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal.parent.mkdir(parents=True, exist_ok=True)
    storage = JournalStorage(JournalFileBackend(str(journal)))
    return optuna.create_study(study_name=name, storage=storage, direction="maximize", load_if_exists=True)


def _known(study: Any, number: int) -> Any:
    """The configuration that was asked for as number `number`, perhaps by an earlier process; None where it was not."""
    return next((one for one in study.get_trials(deepcopy=False) if one.user_attrs.get("number") == number), None)


def _sampler(seed: int, startup: int) -> Any:
    from optuna.exceptions import ExperimentalWarning
    from optuna.samplers import TPESampler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return TPESampler(seed=seed, multivariate=True, n_startup_trials=startup)


def _failed() -> Any:
    from optuna.trial import TrialState

    return TrialState.FAIL
