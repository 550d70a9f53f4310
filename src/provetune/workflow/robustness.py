"""How much the tuned model loses on requests written otherwise, as one step of a run on the opened test rows. It decides nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace

from provetune.evaluation.robustness import Asked, drop, out_of_scope, reworded, sensitivity, with_change
from provetune.hashing import fingerprint
from provetune.prompting import PromptRequest, load_templates, prompt_of
from provetune.protocols import Progress
from provetune.records.candidate import Candidate, Prompt
from provetune.records.data import Example
from provetune.records.robustness import Drop, RobustnessReport
from provetune.store import StepKey, content_sha256
from provetune.suites.robustness import read_requests
from provetune.workflow.contender import Contender
from provetune.workflow.fairness import best_prompted
from provetune.workflow.project import Project
from provetune.workflow.prompts import TEMPLATES
from provetune.workflow.yardstick import json_schema, yardstick_key, yardstick_of

PARTED_BY = "\n---\n"


def robustness_on_test(
    project: Project, contenders: Sequence[Contender], champion: Candidate, rows: Sequence[Example]
) -> RobustnessReport | None:
    """The report of the champion and of the best prompt on the base model; None where the project file asks for nothing."""
    spec = project.spec.prove.robustness
    if not (spec.changes or spec.out_of_scope or spec.wordings):
        return None
    before = best_prompted(project, contenders)
    sides = [next(one for one in contenders if one.candidate.name == champion.name), *([before] if before else [])]
    writer = next((one for one in contenders if one.endpoint is not None), sides[-1])
    return robustness(project, sides, writer, rows)


def robustness(project: Project, sides: Sequence[Contender], writer: Contender, rows: Sequence[Example]) -> RobustnessReport:
    """What the project file asks for, of each side, made once; `writer` says requests in other words."""
    spec = project.spec.prove.robustness
    requests = read_requests(project.folder / spec.out_of_scope) if spec.out_of_scope else ()
    wordings = _wordings(project) if spec.wordings else []
    yardstick = yardstick_of(project, "test", project.spec.prove.confidence)
    inputs = {
        "candidates": fingerprint([one.candidate.fingerprint for one in (*sides, writer)]),
        "rows": fingerprint([content_sha256(rows), list(requests)]),
        "asked": fingerprint([spec.changes, [one.model_dump(mode="json") for one in wordings], yardstick_key(yardstick), project.metric]),
    }

    def make() -> RobustnessReport:
        started = time.monotonic()
        asked = [Asked(one.candidate, one.generator, yardstick, project.metric, _progress(project, one)) for one in sides]
        return RobustnessReport(
            metric=project.metric,
            drops=tuple(_drops(spec.changes, asked, replace(asked[0], generator=writer.generator), rows)),
            out_of_scope=tuple(out_of_scope(one, requests, project.spec.task.system) for one in asked) if requests else (),
            wordings=tuple(sensitivity(one, wordings, rows) for one in asked) if wordings else (),
            reworded_by=writer.candidate.name if "paraphrase" in spec.changes else "",
            seconds=time.monotonic() - started,
        )

    return project.store.once(StepKey(f"robustness-{sides[0].candidate.name}", 1, inputs), RobustnessReport, make)


def _progress(project: Project, one: Contender) -> Progress:
    return lambda what, done, total: project.progress(f"{one.candidate.name}, robustness: {what}", done, total)


def _drops(changes: Sequence[str], asked: Sequence[Asked], writer: Asked, rows: Sequence[Example]) -> list[Drop]:
    found = []
    for change in changes:
        pairs = reworded(rows, writer.generator, writer.progress) if change == "paraphrase" else with_change(rows, change)
        found += [drop(one, change, pairs, len(rows)) for one in asked]
    return found


def _wordings(project: Project) -> list[Prompt]:
    """The zero-shot prompt in each wording of its instruction."""
    templates = load_templates(project.folder / TEMPLATES)
    task, schema = project.spec.task.type, json_schema(project)
    request = PromptRequest(task, project.labels, (), project.tokenizer, project.tokenizer.context_length, templates=templates)
    if schema is not None:
        request = replace(request, schema=json.dumps(schema, ensure_ascii=False, separators=(",", ":")))
    texts = [templates[task], *templates[f"{task}-wordings"].split(PARTED_BY)]
    return [prompt_of("zero-shot", replace(request, templates={**templates, task: text.strip()})) for text in texts]
