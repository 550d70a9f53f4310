"""Rewrite the generated parts of the documentation.

    python scripts/make_docs.py

The table of docs/project-file.md takes keys, values and defaults from the models of the project file; the last column is
written by hand and kept. Every block of docs/cli.md below a line `<!-- help: VERB -->` becomes the help text of that verb;
a verb without such a line is added at the end. The table of licences in docs/bases.md comes from the package's own.
Tests compare the pages with what this script would write.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args

import typer.core
import typer.main
import yaml
from typer.testing import CliRunner

from provetune.spec import ProjectSpec
from provetune.spec.metrics import MetricName
from provetune.spec.parts import NOT_YET, SpecPart

DOCS = Path(__file__).resolve().parents[1] / "docs"
KEYS_PAGE, CLI_PAGE, BASES_PAGE = DOCS / "project-file.md", DOCS / "cli.md", DOCS / "bases.md"
TABLE_HEAD = "| key | values | default | meaning |\n|---|---|---|---|\n"
TABLE = re.compile(re.escape(TABLE_HEAD) + r"(?:\|.*\n)*")
ROW = re.compile(r"^\| `(?P<key>[^`]+)` \|.*\| (?P<meaning>[^|]*) \|$", re.MULTILINE)
HELP = re.compile(r"<!-- help: (?P<verb>[\w-]+) -->\n```text\n.*?```\n", re.DOTALL)
"""Keys that are refused without `endpoint`, which is not available yet."""
LICENCES_HEAD = "| licence | commercial use | what it asks | text of |\n|---|---|---|---|\n"
LICENCES = re.compile(re.escape(LICENCES_HEAD) + r"(?:\|.*\n)*")
WIDTH = "100"
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Key:
    """One key that this version acts on: its path, what may stand there, and its default."""

    path: str
    values: str
    default: str


def available_keys(part: type[SpecPart] = ProjectSpec, shown: str = "") -> Iterator[Key]:
    """Every leaf key of the project file that is not marked as not available, in the order of the models."""
    properties = part.model_json_schema()["properties"]
    for name, field in part.model_fields.items():
        key = field.alias or name
        inner, many = _part_in(field.annotation)
        if NOT_YET in field.metadata:
            continue
        if inner is not None:
            yield from available_keys(inner, f"{shown}{key}{'[]' if many else ''}.")
            continue
        default = "required" if field.is_required() else _default(field.get_default(call_default_factory=True))
        yield Key(shown + key, values_text(properties[key]), default)


def _part_in(annotation: Any) -> tuple[type[SpecPart] | None, bool]:
    """The section that an annotation holds, and whether there may be several."""
    if isinstance(annotation, type) and issubclass(annotation, SpecPart):
        return annotation, False
    if isinstance(annotation, UnionType):  # a section that may be left out
        found = [item for item in get_args(annotation) if item is not type(None)]
        return _part_in(found[0]) if len(found) == 1 else (None, False)
    if getattr(annotation, "__origin__", None) is list:
        (item,) = get_args(annotation)
        inner, _ = _part_in(get_args(item)[0] if get_args(item) else item)
        return inner, True
    return None, False


def _choices(values: tuple[str, ...]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _default(value: Any) -> str:
    if value in (None, ""):
        return "none"
    return f"`{yaml.safe_dump([value], default_flow_style=True, width=float('inf')).strip()[1:-1]}`"


def values_text(schema: dict[str, Any]) -> str:
    """A JSON schema of one value in words.

    >>> values_text({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "auto"}, {"type": "null"}]})
    'whole number from 1, or `auto`'
    """
    if "anyOf" in schema:
        return ", or ".join(dict.fromkeys(values_text(each) for each in schema["anyOf"] if each != {"type": "null"}))
    if "enum" in schema:
        rest = tuple(str(value) for value in schema["enum"] if value not in get_args(MetricName))
        metrics = ("a name of [Metrics](metrics.md)",) if len(rest) < len(schema["enum"]) else ()
        return ", ".join(filter(None, (_choices(rest), *metrics)))
    if "pattern" in schema:
        return "`MODULE:FUNCTION`"
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema["type"] == "array":
        return f"list of {values_text(schema['items'])}"
    if schema["type"] == "object":
        return f"mapping of text to {values_text(schema['additionalProperties'])}"
    return {"string": "text", "integer": "whole number", "number": "number", "boolean": "true, false"}[schema["type"]] + _range(schema)


def _range(schema: dict[str, Any]) -> str:
    words = {"exclusiveMinimum": "above", "minimum": "from", "exclusiveMaximum": "below", "maximum": "up to"}
    return "".join(f" {word} {schema[name]:g}" for name, word in words.items() if name in schema)


def with_table(page: str) -> str:
    """The page with its table made again; meanings are kept, a new key gets an empty one."""
    meanings = {row["key"]: row["meaning"] for row in ROW.finditer(page)}
    rows = [f"| `{key.path}` | {key.values} | {key.default} | {meanings.get(key.path, '')} |\n" for key in available_keys()]
    made, count = TABLE.subn(lambda _: TABLE_HEAD + "".join(rows), page)
    if count != 1:
        raise ValueError(f"found {count} tables of keys, wanted one that begins with {TABLE_HEAD.splitlines()[0]!r}")
    return made


def help_texts() -> dict[str, str]:
    """Verb -> what `provetune VERB --help` prints, without colours; `provetune` stands for the whole command."""
    from provetune.cli import app

    root = typer.main.get_command(app)
    if not isinstance(root, typer.core.TyperGroup):
        raise TypeError("the command line has no verbs")
    verbs = [name for name, command in root.commands.items() if not command.hidden]
    return {"provetune": _help(app, []), **{verb: _help(app, [verb]) for verb in verbs}}


def _help(app: typer.Typer, arguments: list[str]) -> str:
    environment = {"COLUMNS": WIDTH, "NO_COLOR": "1", "TERM": "dumb"}
    result = CliRunner().invoke(app, [*arguments, "--help"], prog_name="provetune", env=environment)
    lines = [line.rstrip() for line in ESCAPES.sub("", result.output).strip().splitlines()]
    return "\n".join(lines)


def with_help(page: str) -> str:
    """The page with every help text made again; verbs that it lacks come at the end, those that are gone lose their block."""
    texts = help_texts()
    found = {match["verb"] for match in HELP.finditer(page)}
    made = HELP.sub(lambda match: _help_block(match["verb"], texts[match["verb"]]) if match["verb"] in texts else "", page)
    return made + "".join(f"\n## `{verb}`\n\n{_help_block(verb, text)}" for verb, text in texts.items() if verb not in found)


def _help_block(verb: str, text: str) -> str:
    return f"<!-- help: {verb} -->\n```text\n{text}\n```\n"


def with_licences(page: str) -> str:
    """The page with its table of licences made again."""
    from provetune.planning.licences import licence_table
    from provetune.records.bases import obligations_of

    rows = []
    for one in licence_table().values():
        asks = "; ".join(obligations_of(one)) or "nothing"
        note = f" ({one.note})" if one.note else ""
        rows.append(f"| `{one.id}` | {one.commercial} | {asks}{note} | [{one.version}]({one.source_url}) |\n")
    made, count = LICENCES.subn(lambda _: LICENCES_HEAD + "".join(rows), page)
    if count != 1:
        raise ValueError(f"found {count} tables of licences, wanted one that begins with {LICENCES_HEAD.splitlines()[0]!r}")
    return made


def main() -> int:
    """Rewrite the pages; the exit code is 0."""
    for page, made_again in ((KEYS_PAGE, with_table), (CLI_PAGE, with_help), (BASES_PAGE, with_licences)):
        before = page.read_text(encoding="utf-8")
        after = made_again(before)
        if after != before:
            page.write_text(after, encoding="utf-8")
        sys.stdout.write(f"{page.name}: {'unchanged' if after == before else 'rewritten'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
