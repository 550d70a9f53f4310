"""The bundled example: written by its script, with the flaws its README states, neither trivial nor hopeless."""

from __future__ import annotations

import csv
import importlib.util
import re
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import yaml
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "src/provetune/examples_data/support_tickets"
COPIES = {"exact duplicate", "near duplicate", "conflicting label"}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_support_tickets", ROOT / "scripts/make_support_tickets.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses looks its module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    with (FOLDER / "tickets.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def similarity(rows: list[dict[str, str]]) -> np.ndarray:
    """Jaccard similarity of every two messages on character 5-grams; the diagonal is zero."""
    grams = CountVectorizer(analyzer="char", ngram_range=(5, 5), binary=True).fit_transform([row["message"] for row in rows])
    shared = (grams @ grams.T).toarray().astype(float)
    sizes = shared.diagonal()
    jaccard: np.ndarray = shared / (sizes[:, None] + sizes - shared)
    np.fill_diagonal(jaccard, 0.0)
    return jaccard


def stated(section: str) -> dict[str, int]:
    """First two columns of the README table that begins with this header."""
    text = (FOLDER / "README.md").read_text(encoding="utf-8").split(f"| {section} | rows |", 1)[1]
    table = text.split("\n\n", 1)[0]
    return {name: int(count) for name, count in re.findall(r"^\| ([a-z_ ]+) \| (\d+) \|", table, flags=re.MULTILINE)}


def test_the_committed_file_is_what_the_script_writes(script: ModuleType) -> None:
    assert (FOLDER / "tickets.csv").read_bytes() == script.to_csv(script.make_tickets()).encode()
    assert script.make_tickets(seed=1) != script.make_tickets(seed=2)


def test_rows_queues_and_customers(rows: list[dict[str, str]]) -> None:
    assert len(rows) == 840
    assert [row["ticket_id"] for row in rows] == [f"T{number}" for number in range(10_001, 10_841)]
    queues = Counter(row["queue"] for row in rows)
    assert queues == stated("queue") and len(queues) == 12
    assert min(queues.values()) >= 50 and max(queues.values()) <= 90
    customers = Counter(row["customer"] for row in rows)
    assert len(customers) == 260 and max(customers.values()) == 9 and min(customers.values()) == 1
    words = [len(row["message"].split()) for row in rows]
    assert min(words) >= 8 and max(words) <= 47


def test_the_file_is_not_sorted_by_queue(rows: list[dict[str, str]]) -> None:
    # 840 rows drawn at random from 12 queues repeat the queue of the row before about 70 times.
    repeats = sum(first["queue"] == second["queue"] for first, second in zip(rows, rows[1:], strict=False))
    assert 40 <= repeats <= 110


def test_flaws_are_as_many_as_the_readme_states(script: ModuleType) -> None:
    planted = Counter(ticket.flaw for ticket in script.make_tickets() if ticket.flaw)
    assert planted == stated("flaw")


def test_planted_flaws_are_in_the_file(rows: list[dict[str, str]]) -> None:
    groups: dict[str, list[str]] = {}
    for row in rows:
        groups.setdefault(row["message"], []).append(row["queue"])
    same = [queues for queues in groups.values() if len(queues) > 1]
    assert sum(len(queues) == 2 and len(set(queues)) == 1 for queues in same) == 9
    assert sum(len(queues) == 2 and len(set(queues)) == 2 for queues in same) == 2
    assert len(same) == 11
    leaks = [row for row in rows if row["queue"] in row["message"]]
    assert len(leaks) == 1 and leaks[0]["message"].endswith(f"[queue: {leaks[0]['queue']}]")
    assert sum(row["message"] != row["message"].rstrip() for row in rows) == 2
    assert sum("<br>" in row["message"] for row in rows) == 1


def test_near_duplicates_are_the_planted_ones_and_few_more(script: ModuleType, similarity: np.ndarray) -> None:
    tickets = script.make_tickets()
    near = [place for place, ticket in enumerate(tickets) if ticket.flaw == "near duplicate"]
    assert len(near) == 6
    assert all(0.85 <= similarity[place].max() < 1.0 for place in near)
    unplanted = [place for place, ticket in enumerate(tickets) if ticket.flaw not in COPIES]
    alike = (similarity[np.ix_(unplanted, unplanted)] >= 0.8).any(axis=1).mean()
    assert alike < 0.03


def test_every_flawed_row_names_existing_tickets(rows: list[dict[str, str]]) -> None:
    by_id = {row["ticket_id"]: row for row in rows}
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    pairs = re.findall(r"(T\d{5}) \((T\d{5})\)", text)
    assert len(pairs) == 9 + 6 + 2
    kinds = Counter(
        (by_id[copy]["message"] == by_id[source]["message"], by_id[copy]["queue"] == by_id[source]["queue"]) for copy, source in pairs
    )
    assert kinds == {(True, True): 9, (False, True): 6, (True, False): 2}


@pytest.mark.parametrize(("strength", "lowest", "highest"), [(1.0, 0.75, 0.86), (10.0, 0.84, 0.95)])
def test_a_linear_classifier_is_good_but_not_perfect(rows: list[dict[str, str]], strength: float, lowest: float, highest: float) -> None:
    classifier = make_pipeline(TfidfVectorizer(), LogisticRegression(C=strength, max_iter=300))
    columns = ([row[name] for row in rows] for name in ("message", "queue", "customer"))
    messages, queues, customers = columns
    accuracy = cross_val_score(classifier, messages, queues, groups=customers, cv=GroupKFold(5)).mean()
    assert lowest <= accuracy <= highest


def test_no_single_word_gives_a_queue_away(rows: list[dict[str, str]]) -> None:
    words = CountVectorizer(binary=True).fit_transform([row["message"] for row in rows]).toarray()
    queues = np.array([row["queue"] for row in rows])
    for queue in sorted(set(queues)):
        mine = queues == queue
        precise = words[mine].sum(axis=0) / words.sum(axis=0) > 0.95
        assert words[mine].mean(axis=0)[precise].max() < 0.60, queue


def test_queues_share_their_telling_words(rows: list[dict[str, str]]) -> None:
    for word in ("refund", "code", "restore", "invoice", "export", "plan", "crash", "password"):
        assert len({row["queue"] for row in rows if word in row["message"].lower()}) >= 4, word


def test_each_queue_has_many_different_core_sentences(script: ModuleType) -> None:
    phrases = script.read_phrases(script.PHRASES)
    assert set(script.QUEUE_SIZES) < set(phrases)
    assert all(len(phrases[queue]) >= 14 for queue in script.QUEUE_SIZES)
    assert len(phrases["shared"]) >= 10
    sentences = [sentence for section in phrases.values() for sentence in section]
    assert len(sentences) == len(set(sentences))
    assert not [pair for pair in combinations(sorted(script.QUEUE_SIZES), 2) if set(phrases[pair[0]]) & set(phrases[pair[1]])]


def test_the_project_file_is_short_and_names_the_columns(rows: list[dict[str, str]]) -> None:
    text = (FOLDER / "provetune.yaml").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 15
    project = yaml.safe_load(text)
    assert set(project["data"]["columns"].values()) == set(rows[0])
    assert (FOLDER / project["data"]["path"]).is_file()
