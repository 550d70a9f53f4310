"""The suite that ships: written by its script, large enough, not to be passed by preferences; what a user's file may say."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from provetune.errors import DataError, SpecError
from provetune.records.retention import SuiteItem
from provetune.suites.retention import BUILTIN, general_prompts, load_suites, read_items

ROOT = Path(__file__).parents[3]
PROBES = {"refusal", "over-refusal", "free format"}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_retention_suite", ROOT / "scripts/make_retention_suite.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def by_skill() -> dict[str, list[SuiteItem]]:
    found = defaultdict(list)
    for item in read_items(BUILTIN):
        found[item.skill].append(item)
    return found


def test_the_file_is_what_the_script_writes(script: ModuleType) -> None:
    assert [json.loads(line) for line in BUILTIN.read_text(encoding="utf-8").splitlines()] == list(script.suite())


def test_skills_are_large_and_items_differ(by_skill: dict[str, list[SuiteItem]]) -> None:
    assert len([skill for skill, items in by_skill.items() if len(items) >= 350]) >= 7
    assert {skill for skill, items in by_skill.items() if len(items) < 350} == PROBES
    texts = [(item.prompt, frozenset(item.options)) for items in by_skill.values() for item in items if item.skill != "free format"]
    # an item may come twice with the roles of its options exchanged, as in "stated format", but then under another prompt
    assert max(Counter(texts).values()) == 1


PREFERENCES: dict[str, Callable[[SuiteItem], int]] = {
    "the first": lambda item: 0,
    "the last": lambda item: len(item.options) - 1,
    "the shortest": lambda item: min(range(len(item.options)), key=lambda place: len(item.options[place])),
    "the longest": lambda item: max(range(len(item.options)), key=lambda place: len(item.options[place])),
}


@pytest.mark.parametrize("preference", PREFERENCES)
@pytest.mark.parametrize("skill", ["agreement", "reading", "knowledge", "arithmetic", "stated format"])
def test_a_preference_that_ignores_the_question_stays_near_chance(
    skill: str, preference: str, by_skill: dict[str, list[SuiteItem]]
) -> None:
    items = by_skill[skill]
    right = sum(PREFERENCES[preference](item) == item.answer for item in items) / len(items)
    assert right == pytest.approx(sum(item.chance for item in items) / len(items), abs=0.09)


def test_a_fixed_option_is_right_in_half_of_the_exchanged_pairs(by_skill: dict[str, list[SuiteItem]]) -> None:
    """Agreement and format: what is right in one item of a pair is the wrong form in the other."""
    for skill in ("agreement", "stated format"):
        groups = Counter(item.group for item in by_skill[skill])
        assert set(groups.values()) == {2} and None not in groups
    for pair in zip(*[iter(by_skill["stated format"])] * 2, strict=True):
        assert {item.options[item.answer] for item in pair} == set(pair[0].options) == set(pair[1].options)


def test_reading_options_stand_in_the_passage(by_skill: dict[str, list[SuiteItem]]) -> None:
    assert all(option in item.prompt for item in by_skill["reading"] for option in item.options)


def test_arithmetic_answers_are_right(by_skill: dict[str, list[SuiteItem]]) -> None:
    signs: dict[str, Callable[[int, int], int]] = {
        "plus": lambda a, b: a + b,
        "minus": lambda a, b: a - b,
        "times": lambda a, b: a * b,
    }
    checked = 0
    for item in by_skill["arithmetic"]:
        words = item.prompt.removesuffix("?").split()
        if len(words) == 5 and words[3] in signs:
            checked += 1
            assert int(item.options[item.answer]) == signs[words[3]](int(words[2]), int(words[4]))
    assert checked > 100


def test_prompts_for_the_base_differ() -> None:
    assert len(set(general_prompts())) == len(general_prompts()) == 40


def write(folder: Path, *rows: str) -> Path:
    file = folder / "mine.jsonl"
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return file


GOOD = '{"id": "1", "skill": "greetings", "prompt": "Say hello.", "options": ["Hello.", "Bye."], "answer": 0}'


def test_a_users_suite_stands_beside_the_one_that_ships(tmp_path: Path) -> None:
    write(tmp_path, GOOD, "", '{"id": "2", "skill": "greetings", "prompt": "Say hello.", "pattern": "Hello.*", "system": "Be brief."}')
    found = load_suites(["builtin", "mine.jsonl"], tmp_path)
    assert list(found) == ["builtin", "mine.jsonl"] and len(found["builtin"]) > 2800
    assert [item.chance for item in found["mine.jsonl"]] == [0.5, 0.0]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("{", "JSON"),
        ('{"id": "2", "skill": "a", "prompt": "b"}', "either options"),
        ('{"id": "2", "skill": "a", "prompt": "b", "options": ["x", "y"], "pattern": "x"}', "either options"),
        ('{"id": "2", "skill": "a", "prompt": "b", "options": ["x", "y"], "answer": 2}', "answer 2"),
        ('{"id": "2", "skill": "a", "prompt": "b", "options": ["x", "x"], "answer": 0}', "two or more that differ"),
        ('{"id": "2", "skill": "a", "prompt": "b", "options": ["x"], "answer": 0}', "two or more that differ"),
        ('{"id": "2", "skill": "a", "prompt": "b", "pattern": "("}', "no regular expression"),
        ('{"id": "2", "skill": "a", "prompt": "b", "pattern": "x", "colour": 1}', "colour"),
        (GOOD, "earlier line"),
    ],
)
def test_a_row_that_is_no_item_is_refused_with_its_place(row: str, words: str, tmp_path: Path) -> None:
    file = write(tmp_path, GOOD, row)
    with pytest.raises(DataError, match=words) as error:
        read_items(file)
    assert f"{file}:2: " in str(error.value)


def test_files_that_are_absent_or_empty_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="wanted `builtin`"):
        load_suites(["nowhere.jsonl"], tmp_path)
    with pytest.raises(DataError, match="no items"):
        read_items(write(tmp_path))


def test_the_starters_held_out_rows_become_a_suite(script: ModuleType, public_data: Path) -> None:
    items = [SuiteItem.model_validate(row) for row in script.held_out(public_data / "t0_50k" / "t0_50k.jsonl.gz")]
    assert Counter(item.skill for item in items) == {
        f"held out: {name}": 200 for name in ("commonsense", "dbpedia", "paws", "rotten", "wiqa")
    }
    assert {item.skill: len(item.options) for item in sorted(items, key=lambda item: len(item.options))} == {
        "held out: commonsense": 5,
        "held out: dbpedia": 14,
        "held out: paws": 2,
        "held out: rotten": 2,
        "held out: wiqa": 3,
    }
