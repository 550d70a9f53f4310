"""An evidence file judged by itself: everything that can be computed again is, and must agree with what the file says."""

from __future__ import annotations

import json
import math
from pathlib import Path

from pydantic import ValidationError

from provetune.errors import EvidenceError
from provetune.evaluation import compare, confidence_at
from provetune.hashing import fingerprint
from provetune.records.evaluation import Decision, Evidence
from provetune.stats.estimate import Estimate
from provetune.stats.multiple import noninferiority_confidence
from provetune.workflow.prove import at_confidence, recompute

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
    candidates = {e.candidate.fingerprint for e in evidence.evaluations if e.part == "test"}
    numbers = [k for k, o in enumerate(evidence.openings, start=1) if o.spec == mine and set(o.candidates) == candidates]
    if numbers[:1] != [stored.opening] or not math.isclose(stored.confidence, confidence_at(float(fixed["confidence"]), stored.opening)):
        raise EvidenceError(f"its ledger does not show opening {stored.opening} of the test split, at which it was decided")
    for evaluation in evidence.evaluations:
        for metric, summary in evaluation.summary.items():
            if not _equal(at_confidence(evaluation, summary.confidence).summary[metric], summary):
                raise EvidenceError(f"{evaluation.candidate.name} on {evaluation.part}: {metric} is not what its observations give")
    on_test = {e.candidate.name: e for e in evidence.evaluations if e.part == "test"}
    for found in evidence.comparisons:
        again = compare(on_test[found.candidate], on_test[found.baseline], found.metric, found.difference.confidence)
        counts = (again.wins, again.ties, again.losses) == (found.wins, found.ties, found.losses)
        allowed = (stored.confidence, noninferiority_confidence(stored.confidence))
        counts = counts and any(math.isclose(found.difference.confidence, each) for each in allowed)
        if not (counts and _equal(again.difference, found.difference)):
            raise EvidenceError(
                f"{found.candidate} against {found.baseline}: the difference in {found.metric} is not what the observations give"
            )


def _equal(a: Estimate, b: Estimate) -> bool:
    """Equal but for the last digits, which may differ between machines."""
    pairs = ((a.value, b.value), (a.low, b.low), (a.high, b.high))
    close = all(x == y or (x is not None and y is not None and math.isclose(x, y, abs_tol=1e-9)) for x, y in pairs)
    return close and (a.n, a.method) == (b.n, b.method)
