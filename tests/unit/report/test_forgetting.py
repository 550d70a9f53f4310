"""The section on what the model still knows: every set of weights that was weighed, and which one was taken."""

from __future__ import annotations

from dataclasses import replace

from provetune.evaluation.retention import Terms, compare_skills, overall
from provetune.records.forgetting import ForgettingReport, RemedyPoint
from provetune.records.retention import RetentionReport, SuiteItem, SuiteScores
from provetune.report.html import render_report
from tests.unit.report.factory import inputs_of
from tests.unit.report.tree import section_of, tree_of, words_of


def scores_of(right: int) -> SuiteScores:
    return SuiteScores(suite="mine", items_sha256="", scores=tuple((float(k < right),) for k in range(300)))


def test_all_points_stand_there_and_the_sentence() -> None:
    items = [SuiteItem(id=str(k), skill="sums", prompt="?", options=("a", "b")) for k in range(300)]
    skills = tuple(compare_skills(items, scores_of(280), scores_of(270), Terms()))
    kept = RetentionReport(candidate="tuned-full-x0.5", skills=skills, kept=overall(skills))
    points = tuple(
        RemedyPoint(training="full", scale=scale, weights_sha256="", score=score, skills=(), kept=kept_by, keeps=scale < 1, gains=True)
        for scale, score, kept_by in ((1.0, 0.9, -0.081), (0.5, 0.8, None))
    )
    weighed = ForgettingReport(candidate="tuned-full", wanted_score=0.5, margin=0.05, points=points, chosen=1, sentence="Half was taken.")
    inputs = inputs_of(rows=60)
    inputs = replace(inputs, evidence=inputs.evidence.model_copy(update={"retention": kept}), forgetting=weighed)
    words = words_of(section_of(tree_of(render_report(inputs)), "retention"))
    assert "Half was taken. Some items of the suite chose; those below judge." in words
    assert "full10.900-0.081yesnono" in words and "full0.50.800not measuredyesyesyes" in words
    assert "sums" in words
