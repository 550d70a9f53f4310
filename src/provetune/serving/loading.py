"""From a candidate's files to something that answers: everything is checked against what was measured before it is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from provetune.chat import template_fingerprint
from provetune.errors import EvidenceError, ModelError, SpecError
from provetune.hashing import folder_sha256
from provetune.models.live import LiveModel
from provetune.models.locate import model_folder
from provetune.models.tokenizer import FolderTokenizer
from provetune.records.candidate import Candidate
from provetune.serving.backend import Backend
from provetune.serving.engine_backend import EngineBackend
from provetune.serving.fleet import Served
from provetune.serving.proxy_backend import ProxyBackend


@dataclass(frozen=True)
class ToServe:
    """A candidate and where its files are: `weights` is an adapter or whole model, None for a prompt on the base."""

    name: str
    release: str
    candidate: Candidate
    project: Path
    weights: Path | None


@dataclass(frozen=True)
class Endpoint:
    """An engine of somebody else's that has loaded the candidate under the name `model`; `url` ends in `/v1`."""

    url: str
    model: str
    key: str | None = None


def load_served(wanted: ToServe, endpoint: Endpoint | None = None, *, offline: bool = False) -> Served:
    """The candidate behind our engine, or behind an endpoint.

    Raises ModelError where base, weights or template are not those that were measured, SpecError for what cannot be served request
    by request.
    """
    candidate = wanted.candidate
    _check_servable(candidate)
    model = candidate.model
    if model is None:
        raise SpecError(f"{candidate.name} ({candidate.kind}) has no model of its own to serve; name an endpoint with --endpoint")
    base = model_folder(model.name, model.revision, wanted.project, offline=offline)
    if folder_sha256(base, [".safetensors"]) != model.weights_sha256:
        raise ModelError(f"{base}: these are not the weights of {model.name} that were measured; use the same revision, or prove again")
    tokenizer = FolderTokenizer(base)
    found = template_fingerprint(tokenizer)
    if found != model.template:
        raise ModelError(
            f"{base}: found the chat template {found}, but {candidate.name} was measured with {model.template}; "
            "completions would differ. Restore the tokenizer and template of the base model, or tune and prove again"
        )
    if wanted.weights is not None and folder_sha256(wanted.weights, [".safetensors"]) != candidate.weights_sha256:
        raise EvidenceError(f"{wanted.weights}: these are not the weights that were measured; restore them, or run again")
    backend: Backend
    if endpoint is not None:
        backend = ProxyBackend(endpoint.url, endpoint.model, endpoint.key)
    else:
        backend = EngineBackend(LiveModel(_loaded(base, wanted), tokenizer))
    return Served(wanted.name, wanted.release, candidate, found, backend)


def _loaded(base: Path, wanted: ToServe) -> object:
    from provetune.models.transformers import load_model

    if wanted.weights is None:
        return load_model(base)
    return load_model(wanted.weights) if wanted.candidate.kind == "full" else load_model(base, wanted.weights)


def _check_servable(candidate: Candidate) -> None:
    if candidate.prompt.similar is not None:
        raise SpecError(f"{candidate.name}: its prompt picks shots for each row from the training rows, which a server does not hold")
    if candidate.generation.calibration == "batch":
        raise SpecError(f"{candidate.name}: calibration over a batch needs all rows at once and cannot be served; prove with contextual")
