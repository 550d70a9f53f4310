"""What pages are made with: the templates, and what stands below each screen."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from provetune.records.base import Record
from provetune.records.evaluation import Evaluation, Evidence
from provetune.report import words
from provetune.spec.text import SPEC_FILE

LONGEST_RECORD = 60_000
"""Characters of a record that a page shows; the whole lies in the run folder."""
_MADE: list[Environment] = []


def environment() -> Environment:
    """The templates, with the words of the report."""
    if not _MADE:
        made = Environment(
            loader=PackageLoader("provetune.studio"),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=words.shown,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        made.filters.update(
            estimate=words.estimate_text,
            amount=words.amount_text,
            money=words.money_text,
            number=words.number_text,
            key=words.key_text,
            moment=words.moment_text,
            short=words.shorten,
            rule=words.rule_text,
            metric=words.metric_text,
        )
        made.globals.update(kinds=words.KIND_WORDS, verdict_words=words.DECISION_WORDS, outcome_words=words.OUTCOME_WORDS)
        _MADE.append(made)
    return _MADE[0]


def command(folder: Path, verb: str) -> str:
    """What a person would type for the same."""
    return f"provetune -C {shlex.quote(str(folder.resolve()))} {verb}"


def sections(folder: Path, names: tuple[str, ...]) -> str:
    """The sections of the project file by these names, as YAML; empty ones are not there."""
    found = yaml.safe_load((folder / SPEC_FILE).read_text(encoding="utf-8-sig"))
    held = {name: found[name] for name in names if isinstance(found, dict) and name in found}
    return yaml.safe_dump(held, sort_keys=False, allow_unicode=True) if held else ""


def raw(values: dict[str, Any]) -> str:
    """The record behind a screen as JSON, for experts."""
    record = next((value for value in values.values() if isinstance(value, Record) and not isinstance(value, Evidence | Evaluation)), None)
    return "" if record is None else record.to_json()[:LONGEST_RECORD]


def local(path: str) -> str:
    """A path of this studio: never another host."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"
