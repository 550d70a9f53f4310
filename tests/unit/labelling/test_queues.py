"""Queues: the test part is chosen by chance alone, most of an active round too; pilot first; nothing twice."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provetune.errors import DataError
from provetune.labelling.queues import HELD_OUT_SHARE, PILOT, QueueRequest, active_queue, hold_out, random_queue, review_queue
from tests.unit.labelling.desk import row, rows

TOPICS = {"billing": "invoice refund price charge", "login": "password code sign account"}


def pool(count: int, labelled: int, seed: int = 1) -> QueueRequest:
    """Rows of two topics, the first ones labelled; every tenth of the others is about something else entirely."""
    draw = np.random.default_rng(seed)
    data, labels = {}, {}
    for k in range(count):
        label = list(TOPICS)[k % 2]
        words = "quantum entanglement boson" if k >= labelled and k % 10 == 0 else " ".join(draw.permutation(TOPICS[label].split()))
        data[f"r{k}"] = row(f"r{k}", f"{words} {k}")
        if k < labelled:
            labels[f"r{k}"] = label
    return QueueRequest(rows=data, labelled=labels, voted=(), number=1, size=40)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 60), st.integers(1, 120))
def test_the_active_rule_never_chooses_a_row_of_the_test_part(seed: int, labelled: int, size: int) -> None:
    base = pool(120, labelled)
    held_out = hold_out(base.rows, seed)
    request = dataclasses.replace(base, held_out=held_out, seed=seed, size=size)
    queue = active_queue(request)
    ids = [queued.example_id for queued in queue.rows]
    assert len(ids) == len(set(ids)) == min(size, 120 - labelled)
    assert all(queued.reason == "random" for queued in queue.rows if queued.example_id in held_out)
    informative = [queued for queued in queue.rows if queued.reason != "random"]
    assert len(informative) <= 0.25 * size + 1
    assert not {queued.example_id for queued in queue.rows} & base.labelled.keys()


def test_the_test_part_is_drawn_as_often_as_any_other_row() -> None:
    """Over many rounds, a row of the test part comes in with the same chance as a row outside among the random ones."""
    base = pool(200, 40)
    held_out = hold_out(base.rows, 3)
    unlabelled = [name for name in base.rows if name not in base.labelled]
    share = sum(name in held_out for name in unlabelled) / len(unlabelled)
    drawn = inside = 0
    for seed in range(30):
        for queued in active_queue(dataclasses.replace(base, held_out=held_out, seed=seed)).rows:
            drawn += queued.reason == "random"
            inside += queued.reason == "random" and queued.example_id in held_out
    deviation = abs(inside / drawn - share) / np.sqrt(share * (1 - share) / drawn)
    assert drawn == 30 * 30 and deviation < 3


def test_rows_of_the_test_part_never_teach_the_model() -> None:
    base = dataclasses.replace(pool(120, 40), held_out=frozenset(f"r{k}" for k in range(0, 40, 4)))
    wrong = {
        name: ("login" if label == "billing" else "billing") if name in base.held_out else label for name, label in base.labelled.items()
    }
    assert active_queue(base) == active_queue(dataclasses.replace(base, labelled=wrong))


def test_an_active_round_goes_where_no_labelled_row_is_near() -> None:
    base = pool(200, 60)
    far = {name for name, one in base.rows.items() if "quantum" in one.text}
    queue = active_queue(dataclasses.replace(base, size=80))
    reasons = {queued.example_id: queued.reason for queued in queue.rows}
    assert sorted(set(reasons.values())) == ["least covered", "random", "uncertain"]
    assert far & {name for name, reason in reasons.items() if reason != "random"}
    # the first one that is least covered is among the strange ones; later ones must be far from it too
    assert len([name for name, reason in reasons.items() if reason == "least covered"]) == 10


def test_a_cold_start_is_random_and_covers_the_whole_pool() -> None:
    queue = active_queue(dataclasses.replace(pool(60, 4), size=30))
    assert {queued.reason for queued in queue.rows} == {"random"} and len(queue.rows) == 30
    assert {int(queued.example_id[1:]) // 20 for queued in queue.rows} == {0, 1, 2}


def test_held_out_rows_are_a_fifth_and_whole_groups() -> None:
    data = {f"r{k}": row(f"r{k}", group=f"customer {k // 5}") for k in range(200)}
    kept = hold_out(data, 7)
    assert HELD_OUT_SHARE * 200 <= len(kept) < HELD_OUT_SHARE * 200 + 5
    groups = [{data[name].group for name in names} for names in (kept, data.keys() - kept)]
    assert not groups[0] & groups[1]
    assert kept == hold_out(data, 7) != hold_out(data, 8)


def test_a_random_round_takes_rows_without_a_label_else_all() -> None:
    some = QueueRequest(rows=rows(10), labelled={"r0": "x", "r1": "x"}, voted={"r0"}, number=1)
    assert {queued.example_id for queued in random_queue(some).rows} == {f"r{k}" for k in range(2, 10)}
    everything = dataclasses.replace(some, labelled=dict.fromkeys(some.rows, "x"))
    assert {queued.example_id for queued in random_queue(everything).rows} == {f"r{k}" for k in range(1, 10)}
    assert random_queue(dataclasses.replace(everything, voted=everything.rows.keys())).rows == ()
    assert [q.example_id for q in random_queue(some).rows] != [f"r{k}" for k in range(2, 10)]


@pytest.mark.parametrize(("count", "overlap", "shared"), [(300, 0.2, 60), (300, 0.0, 0), (10, 1.0, 10), (100, 0.1, 10), (7, 0.2, 2)])
def test_shared_rows_begin_with_the_pilot(count: int, overlap: float, shared: int) -> None:
    queue = random_queue(QueueRequest(rows=rows(count), labelled={}, voted=(), number=1, overlap=overlap))
    places = [k for k, queued in enumerate(queue.rows) if queued.shared]
    assert len(places) == shared and places[:PILOT] == list(range(min(shared, PILOT)))
    if shared > PILOT:
        assert np.diff(places[PILOT:]).max() <= np.ceil((count - PILOT) / (shared - PILOT)) and places[-1] > 0.9 * count


def test_a_review_keeps_the_audits_order_and_refuses_unknown_rows() -> None:
    request = QueueRequest(rows=rows(10), labelled={}, voted={"r3"}, number=1, flagged=("r7", "r3", "r1", "r7"))
    assert [(queued.example_id, queued.reason) for queued in review_queue(request).rows] == [("r7", "review"), ("r1", "review")]
    with pytest.raises(DataError, match="1 flagged ids that are not in the data, the first 'r99'"):
        review_queue(dataclasses.replace(request, flagged=("r7", "r99")))
