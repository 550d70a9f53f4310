"""The search over values of training, on functions whose best values are known."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from provetune.planning.search import Job, SearchRequest, applied, default_space, first_points, rung_rows, search
from provetune.records.tuning_search import TuningSearch, TuningTrial, Values

START: Values = {"learning_rate": 1e-3, "epochs": 4, "batch_size": 16, "r": 16, "alpha": 32, "targets": "all-linear"}


def score_of(values: Values, rows: int, seed: int) -> float:
    """Best at a learning rate of 3e-4, four epochs and rank 32; more rows help all alike."""
    rate = abs(math.log10(float(values["learning_rate"]) / 3e-4))
    return 0.9 - 0.2 * rate - 0.02 * abs(int(values["epochs"]) - 4) - 0.01 * (values["r"] != 32) - 20 / rows + 0.001 * seed


class Trainings:
    """Counts what it is asked for."""

    def __init__(self, score: Callable[[Values, int, int], float] = score_of) -> None:
        self.jobs: list[Job] = []
        self.score = score

    def __call__(self, job: Job) -> TuningTrial:
        self.jobs.append(job)
        score = self.score(job.values, job.rows, job.seed)
        if math.isnan(score):
            return TuningTrial(**vars(job), state="failed", note="the loss overflows", seconds=1.0)
        tokens = job.rows * int(job.values["epochs"])
        return TuningTrial(**vars(job), state="done", score=score, loss=1 - score, tokens=tokens, seconds=1.0)


@pytest.fixture
def request_(tmp_path: Path) -> SearchRequest:
    space = default_space("lora", START)
    return SearchRequest("lora", "accuracy", START, space, 18, 9000, 7, lambda values: "", Trainings(), tmp_path / "journal.log")


def run(request: SearchRequest) -> tuple[TuningSearch, list[Job]]:
    assert isinstance(request.train, Trainings)
    return search(request), request.train.jobs


def test_nears_the_known_best_at_a_fraction_of_the_trainings(request_: SearchRequest) -> None:
    found, jobs = run(request_)
    assert [job.rows for job in jobs].count(1000) == 18 and [job.rows for job in jobs].count(3000) == 6
    assert [job.rows for job in jobs].count(9000) in (2, 3)
    assert sum(job.rows for job in jobs) <= 7 * 9000  # in place of 18 whole trainings
    best_of_start = score_of(START, 9000, 7)
    assert score_of(found.winner, 9000, 7) > max(best_of_start, 0.87)
    assert found.winner["alpha"] == 2 * int(found.winner["r"]) and found.stopped_because == "all configurations tried"
    assert TuningSearch.from_json(found.to_json()) == found and len(found.trials) == len(jobs)


def test_learning_rates_come_first_and_alone(request_: SearchRequest) -> None:
    points = first_points(request_)
    assert points[0]["learning_rate"] == 1e-3 and len(points) == 6
    rates = [float(point["learning_rate"]) for point in points[1:]]
    steps = [math.log(b / a) for a, b in zip(rates, rates[1:], strict=False)]
    assert steps == pytest.approx([steps[0]] * 4) and rates[0] > 1e-4 and rates[-1] < 5e-3
    _, jobs = run(request_)
    others = [{key: value for key, value in job.values.items() if key != "learning_rate"} for job in jobs]
    assert all(other == {key: START[key] for key in other} for other in others[:6]) and others[6:18] != others[:12]


def test_the_plans_own_values_are_tried_on_all_rows_however_they_did_before(request_: SearchRequest) -> None:
    bad_start = replace(request_, train=Trainings(lambda values, rows, seed: 0.1 if values == START else score_of(values, rows, seed)))
    _, jobs = run(bad_start)
    assert any(job.rows == 9000 and job.values == START for job in jobs)


def test_few_rows_take_seeds_in_place_of_subsets(request_: SearchRequest) -> None:
    few = replace(request_, rows=400, trials=6)
    found, jobs = run(few)
    assert {job.rows for job in jobs} == {400} and len(jobs) == 6 + 2 * 2
    assert [job.seed for job in jobs[6:]] == [8, 9, 8, 9] and len({job.number for job in jobs[6:]}) == 2
    assert found.spread == pytest.approx(0.001)  # scores 0.001 apart


def test_a_lucky_seed_does_not_win(request_: SearchRequest) -> None:
    lucky = Trainings(lambda values, rows, seed: 0.95 if seed == 7 and values == START else 0.8 if values == START else 0.9)
    found, _ = run(replace(request_, rows=400, trials=4, train=lucky))
    assert found.winner_number != 0


def test_what_fails_or_does_not_fit_is_written_down_and_passed_over(request_: SearchRequest) -> None:
    diverging = Trainings(lambda values, rows, seed: math.nan if float(values["learning_rate"]) > 1e-3 else score_of(values, rows, seed))
    request = replace(request_, obstacle=lambda values: "needs 9 GiB" if values["r"] == 64 else "", train=diverging)
    found, jobs = run(request)
    failed = [trial for trial in found.trials if trial.state == "failed"]
    assert failed and all(trial.score is None and trial.note for trial in failed)
    assert all(job.values["r"] != 64 for job in jobs)
    assert all(trial.note == "needs 9 GiB" for trial in found.trials if trial.values["r"] == 64)
    assert float(found.winner["learning_rate"]) <= 1e-3


def test_where_nothing_can_be_trained_the_start_stays(request_: SearchRequest) -> None:
    found, _ = run(replace(request_, train=Trainings(lambda *_: math.nan), trials=3))
    assert found.winner == START and found.stopped_because == "no training succeeded"


def test_time_ends_a_search_with_the_best_so_far(request_: SearchRequest) -> None:
    found, jobs = run(replace(request_, max_seconds=4.5))
    assert len(jobs) == 5 and found.stopped_because == "time limit"
    assert found.winner == max(jobs, key=lambda job: score_of(job.values, 1000, 7)).values


def test_a_killed_search_goes_on_to_the_same_end(request_: SearchRequest, tmp_path: Path) -> None:
    whole, jobs = run(request_)

    class Killed(Trainings):
        def __call__(self, job: Job) -> TuningTrial:
            if len(self.jobs) == 9:
                raise KeyboardInterrupt
            return super().__call__(job)

    with pytest.raises(KeyboardInterrupt):
        search(replace(request_, journal=tmp_path / "other.log", train=Killed()))
    again, repeated = run(replace(request_, journal=tmp_path / "other.log", train=Trainings()))
    assert again == whole and [job.values for job in repeated] == [job.values for job in jobs]


def test_a_space_of_ones_own(request_: SearchRequest) -> None:
    space: dict[str, list[float | int | str]] = {"learning_rate": [1e-4, 1e-3, 1e-2], "lora.targets": ["all-linear", "q_proj,v_proj"]}
    found, jobs = run(replace(request_, space=space, trials=9))
    assert {float(job.values["learning_rate"]) for job in jobs} <= {1e-4, 1e-3, 1e-2}
    assert {str(job.values["targets"]) for job in jobs} <= {"all-linear", "q_proj,v_proj"} and found.winner["epochs"] == 4


def test_rungs_and_values() -> None:
    assert rung_rows(499) == (499,) and rung_rows(500) == (167, 500) and rung_rows(900) == (100, 300, 900)
    assert applied(START, {"lora.r": 8, "learning_rate": 0.000123456}) == {**START, "r": 8, "alpha": 16, "learning_rate": 0.000123}
