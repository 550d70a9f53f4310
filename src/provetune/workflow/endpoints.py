"""Models behind endpoints as opponents: their candidates, and what asking them took."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from provetune.chat import prompt_messages, shot_of
from provetune.models.endpoint import EndpointGenerator
from provetune.models.endpoint_asking import Endpoint
from provetune.models.responses import ResponseCache
from provetune.pricing import TokenPrice, usd_per_thousand
from provetune.protocols import ShotPicker
from provetune.records.candidate import Candidate
from provetune.records.data import Example
from provetune.records.endpoint import EndpointUse
from provetune.records.evaluation import Evaluation
from provetune.spec.endpoint import EndpointSpec
from provetune.stats.quantile import quantile
from provetune.store import StepKey
from provetune.workflow.project import Project


def endpoint_candidates(project: Project, prompts: Mapping[str, Sequence[Candidate]]) -> list[tuple[list[Candidate], EndpointGenerator]]:
    """Each endpoint of `baselines` with the prompts that stand under the name it is `called`.

    An endpoint gives no likelihoods: a candidate whose labels are scored is held to them while it writes instead.
    """
    cache = ResponseCache(project.folder / ".provetune" / "responses.sqlite")
    found = []
    for baseline in project.spec.baselines:
        if baseline.endpoint is None:
            continue
        endpoint = Endpoint(baseline.endpoint, str(baseline.model), _price(baseline.endpoint))
        generator = EndpointGenerator(endpoint, cache, project.folder / ".provetune" / "endpoints")
        name = str(baseline.called)
        candidates = [
            Candidate(
                name=name,
                kind="endpoint",
                prompt=own.prompt,
                generation=own.generation.model_copy(update={"scored": False, "calibration": "none"}),
                weights_sha256=generator.identity_sha256,
            )
            for own in prompts[name]
        ]
        found.append((candidates, generator))
    return found


def endpoint_use(
    project: Project, generator: EndpointGenerator, evaluation: Evaluation, examples: Sequence[Example], picker: ShotPicker | None = None
) -> EndpointUse:
    """The record of what the evaluation of these examples took, made once; `picker` is who picked the shots where each row has its own."""
    candidate, spec = evaluation.candidate, generator.endpoint.spec

    def make() -> EndpointUse:
        own = candidate.prompt
        picked = picker.pick(own, examples) if picker is not None else [()] * len(examples)
        shots = [[shot_of(own, row) for row in rows] for rows in picked]
        prompts = [prompt_messages(own, example, mine) for example, mine in zip(examples, shots, strict=True)]
        requests = generator.requests(prompts, candidate.generation)
        answered = [request for request in requests if request.ended == "answered"]
        seconds = [request.latency_s for request in answered if request.latency_s is not None]
        tokens = [request.tokens for request in answered if request.tokens is not None]
        told = len(tokens) == len(answered)
        usd = [request.usd for request in answered if request.usd is not None]
        priced = generator.endpoint.usd is not None
        return EndpointUse(
            candidate=candidate.name,
            evaluation=evaluation.fingerprint,
            url=spec.url,
            model=generator.endpoint.model,
            rows=len(examples),
            not_measured=evaluation.not_measured,
            requests=len(requests),
            faults=dict(Counter(_fault(request.ended) for request in requests if request.ended != "answered")),
            latency_p50_s=quantile(seconds, 0.5),
            latency_p95_s=quantile(seconds, 0.95),
            prompt_tokens=sum(count for count, _ in tokens) if told else None,
            completion_tokens=sum(count for _, count in tokens) if told else None,
            usd=sum(request.usd or 0.0 for request in requests) if priced else None,
            usd_per_1k=usd_per_thousand(usd) if priced else None,
            max_usd=spec.max_usd,
            lacks=tuple(sorted(generator.lacks)),
        )

    return project.store.once(StepKey("endpoint-use", 1, {"evaluation": evaluation.fingerprint}), EndpointUse, make)


def _fault(ended: str) -> str:
    """The kind of a fault, without the endpoint's own words."""
    return re.split(r": | \(", ended, maxsplit=1)[0]


def _price(spec: EndpointSpec) -> TokenPrice | None:
    prompt, completion = spec.usd_per_million_prompt_tokens, spec.usd_per_million_completion_tokens
    return None if prompt is None or completion is None else TokenPrice(prompt, completion)
