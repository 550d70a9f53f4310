"""Waivers: signed by a registered person, dated, chained; refused when expired, forged, or signed for something else."""

from __future__ import annotations

import stat
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from provetune.errors import EvidenceError, SpecError
from provetune.records.release import Release, Waiver
from provetune.registry import Author, Registry, Waived, verify
from provetune.registry.waivers import check_signature, make_key, public_key, read_key
from tests.unit.releases_by_hand import ADA, draft_of


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Ada's key, registered."""
    file = tmp_path / "keys" / "ada.pem"
    Registry(tmp_path).add_person("ada", make_key(file), ADA)
    return file


def waived(project: Path, key: Path, until: str = "2099-12-31", who: str = "ada") -> tuple[Release, dict[str, Path], Waiver]:
    draft, files = draft_of(project / "made", outcome="hold")
    about = Waived(draft.candidate.fingerprint, draft.decision, draft.evidence_sha256, "hold")
    return draft, files, Registry(project).waive(about, Author(who, "a trial with ten users"), until, key)


def test_a_waiver_lets_a_release_in_and_stands_with_it_after(tmp_path: Path, key: Path) -> None:
    draft, files, waiver = waived(tmp_path, key)
    registry = Registry(tmp_path)
    release = registry.register(draft, files, ADA)
    assert release.waiver == waiver
    registry.promote(release.version, ADA)
    assert registry.champion().waiver == waiver
    entry = next(one for one in registry.listing().log if one.kind == "waive")
    assert waiver.after == entry.before, "the waiver is chained to the log"
    assert verify(registry).faults == ()


def test_when_its_last_day_is_over_it_holds_no_more(tmp_path: Path, key: Path) -> None:
    draft, files, _ = waived(tmp_path, key, until="2099-12-31")
    registry = Registry(tmp_path)
    release = registry.register(draft, files, ADA)
    registry.check_servable(release, datetime(2099, 12, 31, 23, 59, tzinfo=UTC))
    with pytest.raises(EvidenceError, match="ended on 2099-12-31"):
        registry.check_servable(release, datetime(2100, 1, 1, tzinfo=UTC))
    with pytest.raises(EvidenceError, match="ended on 2020-01-01"):
        waived(tmp_path, key, until="2020-01-01")


def test_a_key_of_somebody_else_is_refused(tmp_path: Path, key: Path) -> None:
    other = tmp_path / "keys" / "eve.pem"
    make_key(other)
    with pytest.raises(EvidenceError, match="another key"):
        waived(tmp_path, other)
    with pytest.raises(EvidenceError, match="no key of this person"):
        waived(tmp_path, other, who="eve")
    with pytest.raises(SpecError, match="another key is registered"):
        Registry(tmp_path).add_person("ada", public_key(read_key(other)), ADA)


@pytest.mark.parametrize("change", [{"until": "2100-01-01"}, {"why": "no reason"}, {"evidence_sha256": "0" * 64}, {"signature": "AAAA"}])
def test_a_changed_waiver_does_not_fit_its_signature(tmp_path: Path, key: Path, change: dict[str, str]) -> None:
    _, _, waiver = waived(tmp_path, key)
    check_signature(waiver, waiver.public_key)
    with pytest.raises(EvidenceError, match="does not fit"):
        check_signature(waiver.model_copy(update=change), waiver.public_key)


def test_a_waiver_is_for_one_decision(tmp_path: Path, key: Path) -> None:
    draft, files, _ = waived(tmp_path, key)
    with pytest.raises(EvidenceError, match="another decision"):
        Registry(tmp_path).register(draft.model_copy(update={"decision": "f" * 16}), files, ADA)


def test_the_private_key_is_for_its_owner_alone_and_is_never_overwritten(tmp_path: Path, key: Path) -> None:
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    with pytest.raises(Exception, match="--key FILE"):
        make_key(key)


def test_a_key_of_openssh_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "id_ed25519"
    try:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file], check=True)
    except FileNotFoundError:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        made = Ed25519PrivateKey.generate()
        file.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    assert len(public_key(read_key(file))) == 44
