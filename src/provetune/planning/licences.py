"""Licences of base models: what they ask, from a table with sources, and whether a project allows them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from provetune.records.bases import Allowance, LicenceTerms

UNKNOWN = "unknown"
_ALIASES = {"tongyi-qianwen": "qwen", "tongyi-qianwen-research": "qwen-research", "apache 2.0": "apache-2.0", "gemma-terms-of-use": "gemma"}


@cache
def licence_table() -> dict[str, LicenceTerms]:
    """Every licence of the packaged table, by its id (that of SPDX or of the Hugging Face hub, in lower case)."""
    text = files("provetune.planning").joinpath("licences.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(io.StringIO(text))
    return {row["id"]: LicenceTerms.model_validate({**row, "share_alike": row["share_alike"] == "yes"}) for row in rows}


def terms_of(licence: str) -> LicenceTerms | None:
    """What a licence asks; None where it is not in the table, as for several licences at once.

    >>> terms_of("llama3.1").derivative_naming
    'the name begins with “Llama”'
    """
    name = licence.strip().lower()
    return licence_table().get(_ALIASES.get(name, name))


def allowance(licence: str, allowed: Sequence[str] | None) -> Allowance:
    """Whether the project's list allows a licence; several joined by `+` must all be allowed. Without a list nothing was asked.

    >>> allowance("llama3", ["apache-2.0", "mit"]), allowance("unknown", ["mit"]), allowance("mit", None)
    ('not allowed', 'undecided', 'not asked')
    """
    wanted = None if allowed is None else {_known(name) for name in allowed}
    if licence == UNKNOWN:
        return "allowed" if wanted is not None and UNKNOWN in wanted else "undecided"
    if wanted is None:
        return "not asked"
    return "allowed" if {_known(name) for name in licence.split("+")} <= wanted else "not allowed"


def refusal(name: str, licence: str, allowed: Sequence[str] | None) -> str:
    """Why a base may not be used, with the way out; empty where it may. An unknown licence is refused only where there is a list."""
    found = allowance(licence, allowed)
    if found == "not allowed":
        return (
            f"{name} is under {licence}, which base.licences_allowed does not name ({', '.join(allowed or ())}). "
            f"Choose another base with `provetune plan --bases`, or add {licence} once you may use it"
        )
    if found == "undecided" and allowed is not None:
        return f"{name} names no licence that is known here, and base.licences_allowed asks for one of {', '.join(allowed)}. {DECIDE}"
    return ""


DECIDE = "Read its terms, then say so in provetune.yaml: base.licence with its name, or `unknown` among base.licences_allowed"


def _known(name: str) -> str:
    name = name.strip().lower()
    return _ALIASES.get(name, name)
