"""An evidence file judged by itself: everything that can be computed again is, and must agree with what the file says."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from provetune.errors import EvidenceError
from provetune.evaluation import compare, compare_over_folds, confidence_at
from provetune.evaluation.blind_votes import vote_agreement, win_rate
from provetune.evaluation.by_slice import again as panel_again
from provetune.evaluation.roi import return_on_investment
from provetune.hashing import fingerprint
from provetune.records.evaluation import Decision, Evaluation, Evidence
from provetune.stats.estimate import Estimate
from provetune.stats.multiple import noninferiority_confidence
from provetune.workflow.decided import at_confidence, recompute
from provetune.workflow.recipe import summarised
from provetune.workflow.seeds import seed_report

_REMEDY = "restore the file, or write it again with `provetune prove`"


def read_evidence(file: Path) -> Evidence:
    """The evidence in `file`; EvidenceError, naming the file, on anything else."""
    try:
        text = file.read_text(encoding="utf-8")
        if not isinstance(json.loads(text), dict):
            raise EvidenceError(f"{file}: found JSON that is no object, wanted an evidence record; {_REMEDY}")
        return Evidence.from_json(text)
    except OSError as error:
        raise EvidenceError(f"{file}: cannot be read ({error.strerror}); wanted an evidence.json of a run") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the record"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise EvidenceError(f"{file}: damaged: {place}: {first['msg'].lower()}{more}; {_REMEDY}") from error
    except json.JSONDecodeError as error:
        raise EvidenceError(f"{file}:{error.lineno}: damaged: not JSON ({error.msg}); {_REMEDY}") from error
    except (ValueError, KeyError, RecursionError) as error:
        raise EvidenceError(f"{file}: damaged: {type(error).__name__}; {_REMEDY}") from error
    except EvidenceError as error:
        raise EvidenceError(f"{file}: {error}") from error


def verify(file: Path) -> tuple[Evidence, Decision]:
    """The evidence and its decision, computed again from that file alone.

    Decision, every summary, every comparison, the rules, and the number of the opening must be what they are computed to be;
    EvidenceError where one differs.
    """
    evidence = read_evidence(file)
    try:
        _check_parts(evidence)
        return evidence, recompute(evidence)
    except EvidenceError as error:
        raise EvidenceError(f"{file}: {error}") from error
    except (KeyError, IndexError, ValueError, TypeError, ArithmeticError) as error:
        # rows of unequal length, an unknown metric and the like: the numbers cannot have come from a run
        raise EvidenceError(
            f"{file}: damaged: its numbers cannot be computed again ({type(error).__name__}: {error}); {_REMEDY}"
        ) from error


def _check_parts(evidence: Evidence) -> None:
    stored, fixed = evidence.decision, evidence.fixed_before_training
    if fingerprint([rule.model_dump(mode="json") for rule in evidence.rules]) != fixed["rules"]:
        raise EvidenceError("its rules are not the ones that were fixed before training")
    mine = fingerprint(fixed)
    alike = () if evidence.seeds is None else evidence.seeds.evaluations
    candidates = {e.candidate.fingerprint for e in (*evidence.evaluations, *alike) if e.part == "test"}
    numbers = [k for k, o in enumerate(evidence.openings, start=1) if o.spec == mine and set(o.candidates) == candidates]
    if numbers[:1] != [stored.opening] or not math.isclose(stored.confidence, confidence_at(float(fixed["confidence"]), stored.opening)):
        raise EvidenceError(f"its ledger does not show opening {stored.opening} of the test split, at which it was decided")
    folds = None if evidence.folds is None else evidence.folds.fold_of
    for evaluation in (*evidence.evaluations, *alike):
        if not set(evaluation.metrics) == set(evaluation.observations) == set(evaluation.summary):
            raise EvidenceError(f"{evaluation.candidate.name} on {evaluation.part}: its metrics are not the ones that were observed")
        for metric, summary in evaluation.summary.items():
            at = at_confidence if folds is None else partial(summarised, fold_of=folds)
            if not _equal(at(evaluation, confidence=summary.confidence).summary[metric], summary):
                raise EvidenceError(f"{evaluation.candidate.name} on {evaluation.part}: {metric} is not what its observations give")
    on_test = {e.candidate.name: e for e in evidence.evaluations if e.part == "test"}
    _check_fairness(evidence, on_test)
    for found in evidence.comparisons:
        pair, wanted = (on_test[found.candidate], on_test[found.baseline]), found.difference.confidence
        again = compare(*pair, found.metric, wanted) if folds is None else compare_over_folds(*pair, folds, found.metric, wanted)
        counts = (again.wins, again.ties, again.losses) == (found.wins, found.ties, found.losses)
        allowed = (stored.confidence, noninferiority_confidence(stored.confidence))
        counts = counts and any(math.isclose(found.difference.confidence, each) for each in allowed)
        if not (counts and _equal(again.difference, found.difference)):
            raise EvidenceError(
                f"{found.candidate} against {found.baseline}: the difference in {found.metric} is not what the observations give"
            )
    _check_beside(evidence, on_test)


def _check_beside(evidence: Evidence, on_test: Mapping[str, Evaluation]) -> None:
    """What stands beside the decision: folds, spread over seeds, votes of people, return on investment."""
    if evidence.folds is not None and evidence.records.get("folds") != evidence.folds.fingerprint:
        raise EvidenceError("its folds are not the ones that were recorded")
    if evidence.seeds is not None:
        spread = seed_report(
            evidence.seeds.seeds, evidence.seeds.evaluations, tuple(on_test.values()), evidence.rules, evidence.decision.confidence
        )
        if spread != evidence.seeds:
            raise EvidenceError("its spread over seeds is not what the observations give")
    if evidence.human is not None:
        human = evidence.human
        if (win_rate(human.votes), vote_agreement(human.votes)) != (human.win_rate, human.agreement):
            raise EvidenceError("its win rate and agreement are not what the blind votes give")
    if evidence.roi is not None:
        champion = on_test[evidence.champion]
        others = [e for e in on_test.values() if e is not champion]
        if return_on_investment(evidence.roi.costs, champion, others, evidence.comparisons) != evidence.roi:
            raise EvidenceError("its return on investment is not what quality and costs give")


def _check_fairness(evidence: Evidence, on_test: Mapping[str, Evaluation]) -> None:
    treated = evidence.fairness
    if treated is None:
        return
    for panel in treated.panels:
        found = panel_again(panel, on_test[treated.baseline], on_test[treated.candidate], evidence.decision.confidence)
        pairs = ((found.before, panel.before), (found.after, panel.after), (found.harm, panel.harm))
        if found.status != panel.status or not all(_equal(*pair) for pair in pairs):
            raise EvidenceError(f"fairness: {panel.name}, {panel.measure} is not what its rows give")


def _equal(a: Estimate, b: Estimate) -> bool:
    """Equal but for the last digits, which may differ between machines."""
    pairs = ((a.value, b.value), (a.low, b.low), (a.high, b.high))
    close = all(x == y or (x is not None and y is not None and math.isclose(x, y, abs_tol=1e-9)) for x, y in pairs)
    return close and (a.n, a.method) == (b.n, b.method)
