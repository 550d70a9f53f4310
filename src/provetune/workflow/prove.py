"""The last part of the flow: open the test split once for all candidates, compare, decide, write evidence and report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from provetune.evaluation import confidence_at
from provetune.gate import decide
from provetune.records.candidate import Candidate
from provetune.records.evaluation import Decision
from provetune.similarity import tied_together
from provetune.workflow.contender import Contender
from provetune.workflow.curve import stored_curve
from provetune.workflow.decided import at_confidence, measured_on_test
from provetune.workflow.fairness import fairness_on_test
from provetune.workflow.licence import base_licence
from provetune.workflow.project import Project
from provetune.workflow.proof import Results, evidence_of, write_proof
from provetune.workflow.provenance import provenance
from provetune.workflow.robustness import robustness_on_test
from provetune.workflow.roi import returns
from provetune.workflow.rules import opening_of
from provetune.workflow.seeds import seed_report
from provetune.workflow.stored_votes import stored_votes


def prove(project: Project, results: Results, contenders: Sequence[Contender], champion: Candidate) -> tuple[Decision, Path, Path]:
    """Decision, report and evidence; the ledger is written before the first test row is read."""
    looked_at = {one.candidate.fingerprint: one.candidate for one in (*contenders, *_several(results))}
    opening = opening_of(project, results.split, results.fixed, list(looked_at.values()))
    opened, number = project.store.open_test(results.split.test_file, opening)
    rows = tied_together(opened)
    confidence = confidence_at(project.spec.prove.confidence, number)
    found = [one.evaluated(project, rows, "test") for one in contenders]
    used = (one.use(project, evaluation, rows) for one, evaluation in zip(contenders, found, strict=True))
    uses = tuple(use for use in used if use is not None)
    on_test = tuple(at_confidence(evaluation, confidence) for evaluation in found)
    judged_at = (tuple(f.check for f in results.audit.blockers), number, confidence)
    treated = fairness_on_test(project, results.split, contenders, champion, (rows, confidence))
    robust = robustness_on_test(project, contenders, champion, rows)
    measured = measured_on_test(on_test, champion.name, results.rules, judged_at, (results.retention, treated))
    decision = decide(results.rules, measured)
    sheet = provenance(project, results.split, results.runs, results.augmentation)
    alike = [at_confidence(one.evaluated(project, rows, "test"), confidence) for one in _several(results)]
    spread = seed_report(project.spec.train.seeds, alike, on_test, results.rules, confidence) if alike else None
    human = stored_votes(project.folder, on_test)
    roi = returns(project, (results.plan, results.runs, uses), on_test, measured.comparisons, champion.name)
    asides = {
        "augmentation": results.augmentation,
        "learning-curve": stored_curve(project),
        "base-licence": base_licence(project),
        "provenance": sheet,
        "retention": results.retention,
        "forgetting": results.forgetting,
        "fairness": treated,
        "return-on-investment": roi,
        "seeds": spread,
        "blind-votes": human,
        "robustness": robust,
    }
    told = {
        **{search.candidate.name: search for search in results.searches},
        **{f"tuning-search-{search.method}": search for search in results.tuning_searches},
        **{f"endpoint-use-{use.candidate}": use for use in uses},
        **asides,
    }
    evidence = evidence_of(project, results, measured, on_test, decision)
    evidence = evidence.model_copy(
        update={
            "prompts_tried": _tried(results, contenders),
            "retention": results.retention,
            "fairness": treated,
            "roi": roi,
            "seeds": spread,
            "human": human,
            "records": evidence.records | {name: record.fingerprint for name, record in told.items() if record is not None},
        }
    )
    return decision, *write_proof(project, results, (evidence, sheet, uses, robust), rows)


def _several(results: Results) -> tuple[Contender, ...]:
    """The chosen recipe under all its seeds, where there are several."""
    return results.over_seeds if len(results.over_seeds) > 1 else ()


def _tried(results: Results, contenders: Sequence[Contender]) -> dict[str, int]:
    """Prompts among which each contender was chosen on validation: each one more buys luck."""
    searched = {search.candidate.name: len(search.trials) for search in results.searches}
    return {one.candidate.name: sum(searched.get(e.candidate.name, 1) for e in one.measured) for one in contenders}
