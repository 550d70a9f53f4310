"""Choosing a base from the command line: facts, licences, a bake-off, folders to choose from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from provetune.records.bases import BaseComparison, BaseLicence
from tests.flows.conftest import call, write_project

ALLOWED = "--set", "base.licences_allowed=[apache-2.0, mit]"


@pytest.fixture
def folder(tmp_path: Path, base_folder: Path) -> Path:
    """A project beside three models: one under MIT, one not for commerce, one that says nothing."""
    made = write_project(tmp_path / "project", base_folder, rows=90)
    for name, card in (("mit", "license: mit\ndatasets: [c4]"), ("nc", "license: cc-by-nc-4.0"), ("silent", "language: en")):
        shutil.copytree(base_folder, made / "models" / name)
        (made / "models" / name / "README.md").write_text(f"---\n{card}\n---\n")
    return made


def test_bases_are_compared_and_a_forbidden_licence_is_refused_by_name(folder: Path) -> None:
    done = call("-C", folder, "--format", "json", "plan", "--bases", "models/mit", "models/nc", "models/silent", "starter", *ALLOWED)
    assert done.code == 0, done.err
    found = BaseComparison.from_json(done.out)
    mit, nc, silent, starter = found.candidates
    assert (mit.licence, mit.allowance, mit.declared_data) == ("mit", "allowed", ("c4",)) and mit.terms is not None
    assert nc.note.startswith("refused: models/nc is under cc-by-nc-4.0") and nc.fertility is None and nc.parameters is None
    assert silent.allowance == "undecided" and "names no licence" in silent.note and silent.fertility is None
    assert starter.parameters == 6_917_376 and starter.memory_gib is not None and starter.architecture == "LlamaForCausalLM"
    assert starter.fertility is not None and mit.fertility is not None, "both have the starter's tokenizer"
    assert starter.fertility.tokens_per_word == mit.fertility.tokens_per_word and "models/nc" in found.sentence
    page = next(folder.glob("runs/*/bases.html")).read_text()
    assert "no commercial use" in page and "<script" not in page
    assert not (folder / "ledger.jsonl").exists(), "no test row was read"


def test_the_same_licence_is_refused_by_run_and_an_unknown_one_asks(folder: Path) -> None:
    done = call("-C", folder, "run", "--set", "base=models/nc", "--set", "base.licences_allowed=[mit]")
    assert done.code == 2 and "models/nc is under cc-by-nc-4.0" in done.err
    done = call("-C", folder, "run", "--set", "base=models/silent", "--set", "base.licences_allowed=[mit]")
    assert done.code == 2 and "base.licence" in done.err
    done = call("-C", folder, "run", "--set", "base=models/mit", "--set", "base.licence=apache-2.0")
    assert done.code == 2 and "says mit" in done.err


def test_a_name_twice_a_model_without_the_option_and_no_base_left_are_errors(folder: Path) -> None:
    assert "twice" in call("-C", folder, "plan", "--bases", "starter", "starter").err
    assert "--bases" in call("-C", folder, "plan", "starter").err
    done = call("-C", folder, "plan", "--bases", "models/nc", *ALLOWED)
    assert done.code == 2 and "no base is left" in done.err


def test_folders_are_searched_without_a_network(folder: Path) -> None:
    done = call("-C", folder, "--format", "json", "plan", "--search", folder / "models", *ALLOWED)
    assert [Path(one["name"]).name for one in json.loads(done.out)["found"]] == ["mit"]
    assert call("-C", folder, "plan", "--search", folder / "nowhere").code == 2
    assert "no model of that size" in call("-C", folder, "plan", "--search", folder / "models", "--up-to", "0.00001").err


def test_a_run_keeps_the_licence_of_its_base(trained_once: object) -> None:
    folder: Path = trained_once.folder  # type: ignore[attr-defined]
    found = BaseLicence.from_json(next(folder.glob("runs/*/records/base-licence-*.json")).read_text())
    assert (found.licence, found.allowance, found.found_in, found.terms) == ("unknown", "undecided", "nowhere", None)
    evidence = json.loads(next(folder.glob("runs/*/evidence.json")).read_text())
    assert evidence["records"]["base-licence"] == found.fingerprint
    assert "licence of the base" in trained_once.done.err  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_bake_off_ranks_and_says_what_is_not_told_apart(folder: Path) -> None:
    more = "--set", "train.epochs=1"
    done = call("-C", folder, "--format", "json", "plan", "--bases", "models/mit", "starter", "--bake-off", *ALLOWED, *more)
    assert done.code == 0, done.err
    found = BaseComparison.from_json(done.out)
    assert {row.name for row in found.baked} == {"models/mit", "starter"} and found.baked[0].tier == 1
    assert len(found.between) == 1 and found.between[0].difference.n > 0 and found.method == "lora"
    assert all(row.seconds_per_answer > 0 and row.tuning_seconds > 0 for row in found.baked)
    assert "<svg" in next(folder.glob("runs/*/bases.html")).read_text() and not (folder / "ledger.jsonl").exists()
    again = call("-C", folder, "--format", "json", "plan", "--bases", "models/mit", "starter", "--bake-off", *ALLOWED, *more)
    assert again.out == done.out, "what was tuned is found again"
