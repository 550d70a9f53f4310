"""Few rows: a run with folds proves the recipe, resumes, and its evidence gives the decision again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provetune.errors import EvidenceError
from provetune.workflow.verify import verify
from tests.flows.conftest import Done, call, write_project

pytestmark = pytest.mark.slow
MORE = "prove: {folds: 5, against: [zero-shot], retention: [], fairness: {counterfactual: none}}\n"


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory, base_folder: Path) -> tuple[Path, Done]:
    folder = write_project(tmp_path_factory.mktemp("folds") / "project", base_folder, rows=60, more=MORE)
    return folder, call("-C", folder, "run", "--final")


def test_every_row_is_scored_out_of_its_fold_and_the_evidence_gives_the_decision_again(folded: tuple[Path, Done]) -> None:
    folder, done = folded
    assert done.code in (0, 3, 4), done.err
    run = folder / "runs" / "latest"
    evidence, decision = verify(run / "evidence.json")
    assert evidence.folds is not None and evidence.champion == "recipe" and "not of one set of weights" in decision.sentence
    assert sorted(evidence.folds.fold_of.values()).count(0) == 12 and set(evidence.folds.fold_of.values()) == set(range(5))
    by_name = {e.candidate.name: e for e in evidence.evaluations}
    assert set(by_name) == {"recipe", "zero-shot", "linear"}
    assert all(sorted(e.example_ids) == sorted(evidence.folds.fold_of) for e in by_name.values())
    assert all("5 folds" in c.difference.method for c in evidence.comparisons)
    trained = list((run / "weights").iterdir())
    assert len(trained) == 6 and (run / "unproven-adapter").is_dir() and not (run / "adapter").exists()
    assert "not proven by themselves" in done.err
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "not of one set of weights" in page and evidence.folds.outlook[:60] in page


def test_a_row_never_trains_the_model_that_scores_it(folded: tuple[Path, Done]) -> None:
    run = folded[0] / "runs" / "latest"
    trainings = [json.loads(file.read_text()) for file in (run / "records").glob("tuning-fold-*.json")]
    assert len(trainings) == 5 and all(one["rows_used"] + one["rows_left_out"] < 48 for one in trainings)


def test_the_same_command_trains_nothing_again(folded: tuple[Path, Done]) -> None:
    folder, done = folded
    before = (folder / "runs" / "latest" / "evidence.json").read_bytes()
    again = call("-C", folder, "prove")
    assert again.code == done.code and (folder / "runs" / "latest" / "evidence.json").read_bytes() == before
    assert len((folder / "ledger.jsonl").read_text().splitlines()) == 1


def test_a_row_moved_to_another_fold_is_found(folded: tuple[Path, Done], tmp_path: Path) -> None:
    content = json.loads((folded[0] / "runs" / "latest" / "evidence.json").read_text())
    first = next(iter(content["folds"]["fold_of"]))
    content["folds"]["fold_of"][first] = (content["folds"]["fold_of"][first] + 1) % 5
    (tmp_path / "evidence.json").write_text(json.dumps(content))
    with pytest.raises(EvidenceError):
        verify(tmp_path / "evidence.json")


@pytest.mark.parametrize(
    ("setting", "said"),
    [("prove.folds=3", "5 to 20"), ("metric=f1_macro", "no mean of scores"), ("augment.kinds=edit", "augment.kinds")],
)
def test_what_does_not_go_with_folds_is_refused(folded: tuple[Path, Done], setting: str, said: str) -> None:
    done = call("-C", folded[0], "run", "--set", setting)
    assert done.code == 2 and said in done.err


def test_final_is_for_folds_alone(folded: tuple[Path, Done]) -> None:
    done = call("-C", folded[0], "run", "--set", "prove.folds=0", "--final")
    assert done.code == 2 and "--final" in done.err
