"""What a project's candidates are measured by: the task's metrics, the one that decides, and those that are wanted beside."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from provetune.errors import SpecError
from provetune.hashing import fingerprint
from provetune.metrics import FOR_TASK, METRICS
from provetune.metrics.overlap import unicode_words
from provetune.metrics.semantic import WordVectors, word_vectors
from provetune.metrics.user import user_metric
from provetune.models.embedding import embedder
from provetune.protocols import Embedder
from provetune.records.evaluation import Part
from provetune.scoring import Yardstick
from provetune.workflow.project import Project


def yardstick_of(project: Project, part: Part, confidence: float = 0.95) -> Yardstick:
    """The project's yardstick on one part. Raises SpecError where a metric of the user's own or the schema cannot be read."""
    names = dict.fromkeys((project.metric, *project.spec.prove.also))
    further = [user_metric(name, project.folder) if ":" in name else METRICS[name] for name in names]
    words: WordVectors | None = None
    if any("embedding" in metric.needs for metric in further):
        vectors = _fitted(project)
        words, said = word_vectors(vectors), f"vectors:{vectors.name}"
        further = [replace(m, signature=lambda rows: said) if "embedding" in m.needs else m for m in further]
    schema = json_schema(project)
    text = None if schema is None else json.dumps(schema, ensure_ascii=False)
    return Yardstick(project.spec.task.type, project.labels, part, confidence, text, tuple(further), words)


def yardstick_key(yardstick: Yardstick) -> str:
    """Names all that decides the numbers: metrics with their versions and variants, schema, labels, confidence."""
    versions = {name: METRICS[name].version for name in FOR_TASK[yardstick.task]}
    further = [[metric.name, metric.version, metric.signature(())] for metric in yardstick.further]
    return fingerprint([yardstick.task, list(yardstick.labels), yardstick.confidence, versions, yardstick.schema, further])


def json_schema(project: Project) -> dict[str, Any] | None:
    """The schema of task.schema; None without one. Raises SpecError where the file is no JSON Schema."""
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    if project.spec.task.schema_file is None:
        return None
    file = project.folder / project.spec.task.schema_file
    try:
        schema = json.loads(file.read_text(encoding="utf-8"))
        validator_for(schema).check_schema(schema)
    except OSError as error:
        raise SpecError(f"task.schema: {file}: {error.strerror}; name a file with a JSON Schema, relative to the project folder") from error
    except (ValueError, RecursionError, SchemaError) as error:
        reason = error.message if isinstance(error, SchemaError) else str(error)
        raise SpecError(f"task.schema: {file} is no JSON Schema ({reason}); correct it, or remove the key") from error
    if not isinstance(schema, dict):
        raise SpecError(f'task.schema: {file} holds no object, wanted a JSON Schema such as {{"type": "object"}}')
    return schema


def _fitted(project: Project) -> Embedder:
    """The audit's embedding, fitted to the words of all targets: candidates are to meet the same vectors."""
    folder = project.spec.audit.embedding
    found = embedder(None if folder is None else project.folder / folder)
    found.embed(sorted({word for example in project.examples for word in unicode_words(example.target)}))
    return found
