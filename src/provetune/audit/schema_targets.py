"""JSON targets: do they parse, do they satisfy the schema, are they alike."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from provetune.audit.inputs import AuditInput, ids_of, rows_text, share
from provetune.records.data import Example, Finding

BLOCK_ABOVE = 0.05
USUAL = 0.9
"""Share of the rows from which on a key, or the type of a key's value, is called usual where no schema says so."""

Fault = tuple[str, Example]


def schema_targets(inputs: AuditInput) -> list[Finding]:
    """Targets that are no JSON or break the given schema (a blocker above 5 % of the rows), or, without a schema, their majority.

    Looked at for the task `extract`, and for every task with a schema.
    """
    if not inputs.examples or (inputs.task.type != "extract" and inputs.json_schema is None):
        return []
    parsed = [(example, *_parsed(example.target)) for example in inputs.examples]
    broken = [(f"no JSON ({error})", example) for example, _, error in parsed if error]
    whole = [(example, value) for example, value, error in parsed if not error]
    wrong = list(_against_majority(whole) if inputs.json_schema is None else _against_schema(whole, inputs.json_schema))
    given = "the schema" if inputs.json_schema is not None else "what nine of ten targets look like"
    return [
        *_finding(inputs, broken, "cannot be read as JSON", "Correct these targets: a model learns to write broken JSON from them."),
        *_finding(inputs, wrong, f"differ from {given}", "Correct these targets, or the schema (task.schema) if they are right."),
    ]


def _finding(inputs: AuditInput, faults: list[Fault], what: str, remedy: str) -> list[Finding]:
    if not faults:
        return []
    observed = share(len(faults), len(inputs.examples))
    blocks = inputs.json_schema is not None and observed.low is not None and observed.low > BLOCK_ABOVE
    kinds = Counter(kind for kind, _ in faults)
    told = "; ".join(f"{kind} in {rows_text(count)}" for kind, count in kinds.most_common(3))
    return [
        Finding(
            check="schema_targets",
            severity="blocker" if blocks else "warning",
            message=f"The targets of {rows_text(len(faults))} of {len(inputs.examples):,} ({observed.value:.1%}) {what}: {told}.",
            count=len(faults),
            example_ids=ids_of(example for _, example in faults),
            observed=observed,
            threshold=BLOCK_ABOVE,
            remedy=remedy,
        )
    ]


def _parsed(text: str) -> tuple[Any, str]:
    """The value and no error, or the error."""
    try:
        return json.loads(text, parse_constant=_refuse), ""
    except json.JSONDecodeError as error:
        return None, error.msg
    except (ValueError, RecursionError) as error:
        return None, str(error) if isinstance(error, ValueError) else "nested too deeply"


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _against_schema(rows: list[tuple[Example, Any]], schema: Mapping[str, Any]) -> Iterator[Fault]:
    from jsonschema.validators import validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    validator = validator_for(schema)(schema, registry=Registry())  # nothing is fetched from a network
    for example, value in rows:
        try:
            error = next(validator.iter_errors(value), None)
        except Unresolvable as unknown:
            yield f"the schema refers to {unknown.ref!r}, which it does not hold", example
            continue
        if error is not None:
            place = "/".join(map(str, error.absolute_path)) or "the whole"
            yield f"{place} breaks {error.validator!r}", example


def _against_majority(rows: list[tuple[Example, Any]]) -> Iterator[Fault]:
    """Rows without a key that nine of ten objects have, or with another type under a key than nine of ten."""
    objects = [value for _, value in rows if isinstance(value, dict)]
    if len(objects) < USUAL * len(rows):
        return
    types: dict[str, Counter[str]] = {}
    for value in objects:
        for key, item in value.items():
            types.setdefault(key, Counter())[_type(item)] += 1
    usual = {key: kinds.most_common(1)[0] for key, kinds in types.items()}
    for example, value in rows:
        if not isinstance(value, dict):
            yield f"{_type(value)} instead of an object", example
            continue
        missing = [key for key, kinds in types.items() if key not in value and kinds.total() >= USUAL * len(objects)]
        other = [
            key
            for key, item in value.items()
            if usual[key][1] >= USUAL * types[key].total() and types[key].total() > 1 and _type(item) not in (usual[key][0], "null")
        ]
        if missing:
            yield f"key {missing[0]!r} is missing", example
        elif other:
            yield f"{other[0]!r} is {_type(value[other[0]])}, elsewhere {usual[other[0]][0]}", example


def _type(value: object) -> str:
    """Name of a JSON type."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    names: tuple[tuple[type, str], ...] = ((str, "text"), (int, "a number"), (float, "a number"), (list, "a list"), (dict, "an object"))
    return next(name for kind, name in names if isinstance(value, kind))
