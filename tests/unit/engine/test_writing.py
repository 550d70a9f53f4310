"""One step for many rows: free, held to choices, to a grammar, drawn; rows must not notice each other."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from provetune.engine.choices import choice_tree
from provetune.engine.grammar import Grammar, vocabulary
from provetune.engine.sampling import Sampling
from provetune.engine.writing import Rules, Writer, Written, choose
from tests.models import VOCABULARY, byte_tokenizer

STOP = 2
STOPS = frozenset({STOP})
SCHEMA = {
    "type": "object",
    "properties": {"kind": {"enum": ["red", "blue"]}, "note": {"type": "string", "maxLength": 6}},
    "required": ["kind", "note"],
    "additionalProperties": False,
}
CHOICES = [(10, 11, 12), (10, 11, 13, 14), (10, 15), (10, 15, 16, 17), (20, 21, 22)]


@pytest.fixture(scope="module")
def grammar() -> Grammar:
    return Grammar(vocabulary(byte_tokenizer().backend_tokenizer.to_str(), STOPS), json.dumps(SCHEMA))


class Scores:
    """Logits that depend on the row, the last token and the length, as those of a model with random weights do."""

    def __init__(self, seed: int = 0, stop: float = 0.0) -> None:
        draws = torch.Generator().manual_seed(seed)
        self._by_row, self._by_token, self._by_length = (torch.randn(300, VOCABULARY, generator=draws) for _ in range(3))
        self._by_row[:, STOP] += stop

    def __call__(self, writer: Writer) -> torch.Tensor:
        last = writer.ids[-1] if writer.ids else 0
        return self._by_row[writer.row] + self._by_token[last] + self._by_length[len(writer.ids)]


def written(writers: Sequence[Writer], scores: Callable[[Writer], torch.Tensor]) -> list[Written]:
    """All rows in one batch until the last is done."""
    for _ in range(200):
        if all(writer.done for writer in writers):
            return [writer.written for writer in writers]
        choose(writers, torch.stack([scores(writer) for writer in writers]))
    raise AssertionError("no end after 200 steps")


def kinds_of_rules(grammar: Grammar, new: int = 40) -> list[Rules]:
    tree = choice_tree(CHOICES)
    kinds: list[Rules] = []
    for sampling in (None, Sampling(0.8, 0.9, seed=5)):
        kinds += [Rules(STOPS, new, sampling=sampling), Rules(STOPS, new, tree, sampling=sampling)]
        kinds.append(Rules(STOPS, new, grammar=grammar, sampling=sampling))
    return kinds


def test_a_free_row_is_the_likeliest_token_until_a_stop() -> None:
    scores = Scores(stop=2.5)
    found = written([Writer(Rules(STOPS, 25), row) for row in range(30)], scores)
    for row, one in enumerate(found):
        slow = Writer(Rules(STOPS, 25), row)
        while len(slow.ids) < 25 and (token := int(scores(slow).argmax())) != STOP:
            slow.ids.append(token)
        assert one == Written(slow.ids, len(slow.ids) < 25)
    assert len({one.stopped for one in found}) == 2


def test_rows_do_not_notice_each_other(grammar: Grammar) -> None:
    """Rules of every kind in one batch, in two orders, equal each row alone."""
    scores = Scores(stop=2.0)
    kinds = kinds_of_rules(grammar)
    rows = [(row, kinds[row % len(kinds)]) for row in range(4 * len(kinds))]
    alone = [written([Writer(rules, row)], scores)[0] for row, rules in rows]
    assert written([Writer(rules, row) for row, rules in rows], scores) == alone
    assert written([Writer(rules, row) for row, rules in reversed(rows)], scores) == alone[::-1]


def test_the_scores_are_left_as_they_are(grammar: Grammar) -> None:
    writers = [Writer(rules, row) for row, rules in enumerate(kinds_of_rules(grammar))]
    logits = torch.randn(len(writers), VOCABULARY, generator=torch.Generator().manual_seed(0))
    before = logits.clone()
    choose(writers, logits)
    assert torch.equal(logits, before)


def test_drawn_choices_follow_the_likelihood_of_the_allowed_tokens() -> None:
    """The stop token and 16 may follow (10, 15); other tokens, however likely, do not count."""
    rules = Rules(STOPS, 10, choice_tree(CHOICES), sampling=Sampling(1.0, seed=1))
    logits = torch.zeros(VOCABULARY)
    logits[50:] = 9.0
    logits[[10, 15, 16]] = 1.0
    rows = 3000
    found = written([Writer(rules, row) for row in range(rows)], lambda writer: logits)
    assert {tuple(one.ids) for one in found} <= set(CHOICES)
    e = np.e
    first = {10: e / (e + 1), 20: 1 / (e + 1)}
    second = {11: 1 / (e + 1), 15: e / (e + 1)}
    wanted = {
        (10, 11, 12): first[10] * second[11] / 2,
        (10, 11, 13, 14): first[10] * second[11] / 2,
        (10, 15): first[10] * second[15] / (e + 1),
        (10, 15, 16, 17): first[10] * second[15] * e / (e + 1),
        (20, 21, 22): first[20],
    }
    counts = [sum(tuple(one.ids) == choice for one in found) for choice in wanted]
    assert chisquare(counts, [rows * share for share in wanted.values()]).pvalue > 0.001


def test_seeds_and_rows_differ() -> None:
    def texts(seed: int) -> list[tuple[int, ...]]:
        rules = Rules(STOPS, 8, sampling=Sampling(1.0, seed=seed))
        return [tuple(one.ids) for one in written([Writer(rules, row) for row in range(9)], lambda writer: torch.zeros(VOCABULARY))]

    assert texts(3) == texts(3)
    assert len({*texts(3), *texts(4)}) == 18


def test_the_only_choice_needs_no_model() -> None:
    writer = Writer(Rules(STOPS, 2, choice_tree([(10, 11, 12)])), 0)
    assert writer.done and writer.written == Written([10, 11, 12], True)


@pytest.mark.parametrize("sampling", [None, Sampling(1.0)])
def test_forced_tokens_may_be_taken_at_once_or_one_by_one(sampling: Sampling | None, grammar: Grammar) -> None:
    scores = Scores(seed=3)
    rules = Rules(STOPS, 40, grammar=grammar, sampling=sampling)
    slow = written([Writer(rules, row) for row in range(6)], scores)
    taken = 0
    for row, wanted in enumerate(slow):
        writer = Writer(rules, row)
        while not writer.done:
            forced = writer.take_forced()
            taken += len(forced)
            assert not writer.take_forced()
            if not writer.done:
                before = len(writer.ids)
                [token] = choose([writer], scores(writer)[None])
                assert writer.stopped or writer.ids[before] == token
        assert writer.written == wanted
    assert taken >= 6 * 10, "the keys are forced, one byte a token"


@pytest.mark.parametrize("new", [1, 5, 17])
def test_what_is_cut_says_so(grammar: Grammar, new: int) -> None:
    for rules in kinds_of_rules(grammar, new):
        if rules.choices is None:
            for one in written([Writer(rules, row) for row in range(5)], Scores()):
                assert len(one.ids) == new and not one.stopped and one.error is None


def test_forced_tokens_stay_within_the_limit(grammar: Grammar) -> None:
    beginning = list(b'{"kind":')
    for new in (3, len(beginning), len(beginning) + 2):
        writer = Writer(Rules(STOPS, new, grammar=grammar), 0)
        assert len(writer.take_forced()) == min(new, len(beginning))
        while not writer.done:
            choose([writer], Scores()(writer)[None])
            writer.take_forced()
        assert len(writer.ids) == new and not writer.stopped


def test_a_model_that_cannot_write_the_grammar_ends_with_a_reason() -> None:
    """Other rows go on; a token is returned for every row, for the model to read."""
    number = Grammar(vocabulary(byte_tokenizer().backend_tokenizer.to_str(), STOPS), '{"type": "integer"}')
    rules = [Rules(STOPS, 4, grammar=number), Rules(STOPS, 4), Rules(STOPS, 4, grammar=number, sampling=Sampling(1.0))]
    writers = [Writer(one, row) for row, one in enumerate(rules)]
    below_the_digits = 15
    for _ in range(2):
        assert all(0 <= token < below_the_digits for token in choose(writers, torch.zeros(3, below_the_digits)))
    assert [writer.done for writer in writers] == [True, False, True]
    assert writers[0].written == writers[2].written == Written([], False, "the model has no token that may come next")
    assert writers[1].ids == [0, 0]
