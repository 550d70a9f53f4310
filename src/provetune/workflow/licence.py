"""The licence of the base model, as a record of the run: what it is, what it asks, and whether the project allows it."""

from __future__ import annotations

import os
import warnings

from provetune.errors import Notice
from provetune.hashing import fingerprint
from provetune.models.locate import model_card
from provetune.planning.licences import DECIDE, allowance, terms_of
from provetune.records.bases import BaseLicence
from provetune.store import StepKey
from provetune.workflow.project import Project, refuse_licence


def base_licence(project: Project) -> BaseLicence:
    """The record; SpecError where the licence is not allowed, or unknown while the project asks for certain ones."""
    base, licence = project.spec.base, project.model.licence
    refuse_licence(base, licence)
    allowed = base.licences_allowed

    def make() -> BaseLicence:
        card = model_card(base.model, base.revision, project.folder, offline=bool(os.environ.get("HF_HUB_OFFLINE")))
        return BaseLicence(
            model=base.model,
            revision=base.revision,
            licence=licence,
            found_in="base.licence of provetune.yaml" if base.licence is not None else card.found_in or "nowhere",
            allowance=allowance(licence, allowed),
            licences_allowed=None if allowed is None else tuple(allowed),
            terms=terms_of(licence),
            declared_data=card.datasets,
        )

    asked = fingerprint([base.model_dump(mode="json"), project.model.model_dump(mode="json")])
    return project.store.once(StepKey("base-licence", 1, {"asked": asked}), BaseLicence, make)


def ask_for_decision(project: Project) -> None:
    """A Notice where the base's licence is unknown and the project file does not say what to do about that."""
    if allowance(project.model.licence, project.spec.base.licences_allowed) == "undecided":
        warnings.warn(f"the licence of the base {project.model.name} is unknown. {DECIDE}", Notice, stacklevel=2)
