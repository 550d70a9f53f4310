"""A person's key, and the waiver it signs for a release that was not decided to ship (Ed25519, RFC 8032)."""

from __future__ import annotations

import base64
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from provetune.errors import EvidenceError, FolderError, SpecError
from provetune.records.release import Waiver

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def key_file(who: str) -> Path:
    """Where a person's private key is kept: the user's own configuration, never the project."""
    folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    plain = "".join(letter if letter.isalnum() or letter in "-_@." else "-" for letter in who).strip(".") or "key"
    return folder / "provetune" / "keys" / f"{plain}.pem"


def make_key(file: Path) -> str:
    """A new private key in `file`, readable by its owner alone; the public key. FolderError where a file is there."""
    _need_cryptography()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(text)
    except OSError as error:
        raise FolderError(f"{file}: {error.strerror}; wanted a place for a new key, name another with --key FILE") from error
    return public_key(key)


def read_key(file: Path, passphrase: str | None = None) -> Ed25519PrivateKey:
    """A private key in PEM, or one of OpenSSH (`ssh-keygen -t ed25519`); FolderError or SpecError where it is none."""
    _need_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

    try:
        text = file.read_bytes()
    except OSError as error:
        raise FolderError(f"{file}: {error.strerror}; make a key with `provetune registry key NAME`") from error
    load = load_ssh_private_key if b"OPENSSH PRIVATE KEY" in text else load_pem_private_key
    try:
        key = load(text, None if passphrase is None else passphrase.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SpecError(
            f"{file}: no private key that can be read ({error}); a passphrase is taken from PROVETUNE_KEY_PASSPHRASE"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SpecError(f"{file}: found a {type(key).__name__}, wanted an Ed25519 key; make one with `provetune registry key NAME`")
    return key


def public_key(key: Ed25519PrivateKey) -> str:
    """The public half: 32 bytes, base64."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def signed(waiver: Waiver, key: Ed25519PrivateKey) -> Waiver:
    """The waiver with its public key and signature."""
    named = waiver.model_copy(update={"public_key": public_key(key)})
    return named.model_copy(update={"signature": base64.b64encode(key.sign(named.signed_text)).decode()})


def check_signature(waiver: Waiver, registered: str | None) -> None:
    """EvidenceError unless the waiver was signed with the key that is registered for its person, and nothing in it was changed."""
    _need_cryptography()
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if registered is None:
        raise EvidenceError(f"waiver of {waiver.who}: no key of this person is registered; `provetune registry key` registers one")
    if waiver.public_key != registered:
        raise EvidenceError(f"waiver of {waiver.who}: signed with another key than the one that is registered for this person")
    try:
        raw, signature = base64.b64decode(registered, validate=True), base64.b64decode(waiver.signature, validate=True)
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, waiver.signed_text)
    except (InvalidSignature, ValueError) as error:
        raise EvidenceError(f"waiver of {waiver.who}: the signature does not fit what it says; sign it anew") from error


def check_date(waiver: Waiver, now: datetime | None = None) -> None:
    """EvidenceError once the last day of the waiver is over (UTC)."""
    if expired(waiver, now):
        raise EvidenceError(
            f"waiver of {waiver.who}: it ended on {waiver.until}; promote another release, or sign anew with `provetune registry waive`"
        )


def expired(waiver: Waiver, now: datetime | None = None) -> bool:
    """Whether the last day of the waiver is over (UTC)."""
    return (now or datetime.now(UTC)).astimezone(UTC).date().isoformat() > waiver.until


def _need_cryptography() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError as error:
        raise SpecError("cryptography is not installed; waivers are signed with it. Run `pip install 'provetune[ship]'`") from error
