"""Records of releases: what was registered, under which decision or waiver, and what happened to it since."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from provetune.hashing import canonical_json, fingerprint
from provetune.records.base import Frozen, Record
from provetune.records.candidate import Candidate, GenerationSettings
from provetune.records.evaluation import DecisionOutcome
from provetune.stats.estimate import Estimate

Role = Literal["champion", "canary", "challenger", "shadow"]
"""What a release does in service: answers; answers a share on trial, or in an A/B comparison; is asked beside and never shown."""
ENDINGS = (".safetensors", ".json", ".jsonl", ".jinja", ".model", ".txt", ".md", ".html")
"""What a file of a release may end with: weights that hold numbers alone, and text."""
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ +-]*")
_SHA256 = r"^[0-9a-f]{64}$"


def inner_name(name: str) -> str:
    """The name of a file below a folder, as it is: plain parts joined by `/`, with a known ending; ValueError otherwise.

    >>> inner_name("weights/adapter_model.safetensors")
    'weights/adapter_model.safetensors'
    >>> inner_name("../weights.safetensors")
    Traceback (most recent call last):
    ValueError: found the file name '../weights.safetensors', wanted plain names joined by '/', below the folder
    """
    if len(name) > 200 or any(_PART.fullmatch(part) is None for part in name.split("/")):
        raise ValueError(f"found the file name {name!r}, wanted plain names joined by '/', below the folder")
    if not name.endswith(ENDINGS):
        raise ValueError(f"found the file {name!r}, wanted one of {', '.join(ENDINGS)}; pickles and programs are never taken")
    return name


class ReleaseFile(Frozen):
    """One file of a release: where it stands below the release's folder, and what it holds."""

    name: Annotated[str, AfterValidator(inner_name)]
    sha256: str = Field(pattern=_SHA256)
    bytes: int = Field(ge=0)


class Licence(Frozen):
    """One link of the chain of licences: the base model, each source of rows; "unknown" where nobody said it."""

    of: str
    name: str
    licence: str = "unknown"


class ReferenceRow(Frozen):
    """One held-out row that live traffic is compared with; never a training row. `text` is the request without its system line."""

    id: str
    part: Literal["validation", "test"]
    text: str
    target: str
    label: str | None = None
    language: str = "not told"


class MonitoringReference(Frozen):
    """What watching starts from: `file` of the release holds `rows` ReferenceRows as JSONL; `error` is the candidate's on test.

    `error` is 1 minus `metric`, "not measured" where that is no share.
    """

    file: str
    sha256: str = Field(pattern=_SHA256)
    rows: int
    metric: str
    error: Estimate


class Waiver(Frozen):
    """A person answers for a release that was not decided to ship: `who`, `why`, and `until` which day (ISO, inclusive).

    `signature` (Ed25519, base64) covers everything else; `after` is the hash of the log entry that it follows.
    """

    candidate: str
    decision: str
    evidence_sha256: str
    outcome: DecisionOutcome
    who: str = Field(min_length=1)
    why: str = Field(min_length=1)
    until: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")
    signed_at: str
    after: str
    public_key: str
    signature: str = ""

    @property
    def signed_text(self) -> bytes:
        """What the signature covers."""
        return canonical_json(self.model_dump(mode="json", exclude={"signature"})).encode()


class Release(Record):
    """One version of a tuned model, as it was proven, with everything that is needed to serve, watch and explain it.

    `template` is the fingerprint of the chat template that it was trained and measured with. `parent` is the version that it
    was tuned to replace. A `waiver` stands where the decision was not to ship: the newest one that was signed.
    """

    SCHEMA: ClassVar[str] = "release/1"
    version: int = Field(ge=1)
    project: str
    candidate: Candidate
    outcome: DecisionOutcome
    decision: str
    evidence_sha256: str = Field(pattern=_SHA256)
    template: str
    generation: GenerationSettings
    licences: tuple[Licence, ...]
    reference: MonitoringReference
    files: tuple[ReleaseFile, ...]
    owner: str = "unknown"
    parent: int | None = None
    waiver: Waiver | None = None
    made_at: str = ""
    made_by: str = ""

    @property
    def fingerprint(self) -> str:
        """Hash of what it is; a waiver is renewed without making another release of it."""
        content = self.model_dump(mode="json", exclude={"waiver": True, "candidate": {"weights_folder"}})
        return fingerprint({"schema": self.SCHEMA, "content": content})

    @property
    def name(self) -> str:
        """What people and clients call it.

        For version 3 of the project `tickets` it is `tickets-v3`.
        """
        return f"{self.project}-v{self.version}"


class RoleOf(Frozen):
    """A release in a role; `share` of the requests go to it (a shadow: are copied to it)."""

    version: int
    share: float = Field(ge=0, le=1)


class Standing(Record):
    """Who does what now. `generation` counts the changes: a change names the one that it was decided on.

    The champion's share is what the canary and the challenger leave.
    """

    SCHEMA: ClassVar[str] = "standing/1"
    generation: int
    roles: dict[Role, RoleOf] = Field(default_factory=dict)

    @property
    def champion(self) -> int | None:
        """The version that answers; None before the first promotion."""
        found = self.roles.get("champion")
        return None if found is None else found.version


class LogEntry(Frozen):
    """One change: who, when, why, what; `before` is the hash of the entry before it, `hash` covers all else."""

    number: int
    at: str
    who: str
    why: str
    kind: Literal["key", "waive", "register", "promote", "rollback", "assign", "gc", "restore"]
    content: dict[str, Any]
    before: str
    hash: str


class RegistryCheck(Record):
    """What `verify` found: counts of what was read again in full, and each fault in a sentence."""

    SCHEMA: ClassVar[str] = "registry_check/1"
    releases: int
    files: int
    bytes: int
    entries: int
    champion: int | None
    faults: tuple[str, ...]


class RegistryListing(Record):
    """All releases, who does what, and the log."""

    SCHEMA: ClassVar[str] = "registry/1"
    standing: Standing
    releases: tuple[Release, ...]
    collected: tuple[int, ...]
    log: tuple[LogEntry, ...]
