"""Recitals of training rows, with rows not trained on as the control; planted secrets and their rank."""

from __future__ import annotations

import math

import pytest

from provetune.evaluation.memorisation import WORDS, exposure_bits, exposures, make_canaries, memorisation, recites, sampled
from provetune.records.data import Example, Message
from tests.unit.evaluation.pairs import Pair, Table, quiet

SENTENCE = "the quick brown fox jumps over the lazy dog number"


def rows(name: str, count: int, target: str = SENTENCE) -> list[Example]:
    return [
        Example(
            id=f"{name}-{k}",
            messages=(Message(role="user", content=f"{name} {k}"), Message(role="assistant", content=f"{target} {k}")),
            source=f"{name}:{k}",
        )
        for k in range(count)
    ]


def table(texts: dict[str, str]) -> Table:
    return Table(lambda prompt, option: -1.0, texts)


def test_recitals_are_held_against_the_base_and_rows_not_trained_on() -> None:
    train, unseen = rows("train", 40), rows("unseen", 20)
    base = table({"train 0": f"{SENTENCE} 0"})
    tuned = table({f"train {k}": f"{SENTENCE} {k}" for k in range(10)} | {"unseen 3": f"{SENTENCE} 3"})
    found = memorisation(Pair(base, tuned), train, unseen, quiet)
    assert (found.before.value, found.after.value, found.unseen.value) == (1 / 40, 10 / 40, 1 / 20)
    assert found.difference.value == 9 / 40 and found.difference.low is not None and found.difference.low > 0.05
    assert found.recited_ids == tuple(f"train-{k}" for k in range(10))


def test_short_targets_cannot_tell() -> None:
    found = memorisation(Pair(table({}), table({})), rows("train", 5, "yes"), rows("unseen", 3, "no"), quiet)
    assert found.too_short == 8 and found.difference.value is None and found.unseen.value is None


@pytest.mark.parametrize(
    ("written", "recited"),
    [
        (SENTENCE, True),
        (SENTENCE.upper(), True),
        (" ".join(SENTENCE.split()[:WORDS]) + " and away", True),
        (" ".join(SENTENCE.split()[: WORDS - 1]), False),
        ("well, " + SENTENCE, False),
        ("", False),
    ],
)
def test_what_counts_as_a_recital(written: str, recited: bool) -> None:
    assert recites(SENTENCE, written) is recited


def test_exposure_is_log2_of_the_space_less_log2_of_the_rank() -> None:
    """Definition in section 4.2 of Carlini et al. 2019."""
    assert [exposure_bits(rank, 1024) for rank in (1, 2, 512, 1024)] == [10.0, 9.0, 1.0, 0.0]


def test_a_memorised_secret_ranks_first_and_is_recited() -> None:
    canaries = make_canaries(3, seed=5)
    secrets = {canary.target.format(canary.secret) for canary in canaries[:2]}
    # the base prefers small numbers, which says nothing of the secret
    base = Table(lambda prompt, option: -float(option[:-1].split()[-1]) / 1e6)
    tuned = Table(
        lambda prompt, option: -0.1 if option in secrets else -1.0 - float(option[:-1].split()[-1]) / 1e6,
        {canaries[0].prompt: f"It is {canaries[0].secret}."},
    )
    found = exposures(Pair(base, tuned), canaries, quiet)
    below = [sum(int(number) < int(c.secret) for number in c.alternatives) for c in canaries]
    assert [one.rank_before for one in found] == [1 + count for count in below]
    assert [one.rank_after for one in found] == [1, 1, 1 + below[2]]
    assert found[0].bits_after == 8.0 == math.log2(256) and [one.recited for one in found] == [True, False, False]


def test_a_tie_counts_against_the_secret() -> None:
    [found] = exposures(Pair(table({}), table({})), make_canaries(1), quiet)
    assert (found.rank_before, found.bits_before) == (256, 0.0)


def test_no_canaries_no_exposure() -> None:
    assert exposures(Pair(table({}), table({})), [], quiet) == ()


def test_canaries_depend_on_the_seed_alone() -> None:
    assert make_canaries(4, 1) == make_canaries(4, 1) != make_canaries(4, 2)
    assert len({canary.prompt for canary in make_canaries(50)}) == 50
    assert make_canaries(1)[0].messages[1].content.count(make_canaries(1)[0].secret) == 1


def test_rows_are_drawn_once() -> None:
    train = rows("train", 30)
    assert sampled(train, 10, "a") == sampled(train, 10, "a") != sampled(train, 10, "b")
    assert sampled(train, 50, "a") == train
