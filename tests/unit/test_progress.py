"""Lines of progress."""

from __future__ import annotations

from provetune.cli.progress import Lines


def test_what_changes_stands_behind_the_time_left_and_begins_no_new_work() -> None:
    said: list[str] = []
    clock = iter(range(0, 1000, 10))
    lines = Lines(said.append, lambda: float(next(clock)))
    for step in range(1, 11):
        lines(f"steps | loss {step}", step, 10)
    assert len(said) == 9 and said[0].endswith("left; loss 2") and said[-1] == "steps: 100 % (10 of 10); loss 10"


def test_the_time_left_of_work_that_goes_on_counts_what_is_done_now() -> None:
    said: list[str] = []
    clock = iter((0.0, 10.0))
    lines = Lines(said.append, lambda: next(clock))
    lines("rows", 60, 100)
    lines("rows", 80, 100)
    assert said == ["rows: 80 % (80 of 100), about 10.0 s left"]
