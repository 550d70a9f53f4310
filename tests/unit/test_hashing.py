"""Fingerprints: stable across machines and versions, changed by any change of the content."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provetune.hashing import canonical_json, file_sha256, fingerprint, folder_sha256, seed_of

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3),
    max_leaves=8,
)


def test_the_fingerprint_is_the_hash_of_the_canonical_text() -> None:
    # the text and its SHA-256 by hand: sha256('{"a":[1,"é"],"b":null}')
    value = {"b": None, "a": [1, "é"]}
    assert canonical_json(value) == '{"a":[1,"é"],"b":null}'
    assert fingerprint(value) == hashlib.sha256('{"a":[1,"é"],"b":null}'.encode()).hexdigest()[:16]


@given(value=st.dictionaries(st.text("abc"), VALUES, max_size=4))
def test_the_order_of_keys_does_not_matter(value: dict[str, object]) -> None:
    assert fingerprint(dict(reversed(value.items()))) == fingerprint(value)


@given(first=st.lists(st.integers(0, 3), max_size=4), second=st.lists(st.integers(0, 3), max_size=4))
def test_different_content_has_a_different_fingerprint(first: list[int], second: list[int]) -> None:
    assert (fingerprint(first) == fingerprint(second)) == (first == second)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1.0, float("-inf")], {"a": {"b": float("nan")}}])
def test_numbers_that_json_cannot_hold_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        fingerprint(value)


def test_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "b.safetensors").write_bytes(b"weights")
    (tmp_path / "a.json").write_text("{}")
    assert file_sha256(tmp_path / "b.safetensors") == hashlib.sha256(b"weights").hexdigest()
    first = folder_sha256(tmp_path, [".safetensors"])
    (tmp_path / "a.json").write_text("{ }")
    assert folder_sha256(tmp_path, [".safetensors"]) == first != folder_sha256(tmp_path, [".safetensors", ".json"])
    (tmp_path / "b.safetensors").rename(tmp_path / "c.safetensors")
    assert folder_sha256(tmp_path, [".safetensors"]) != first
    (tmp_path / "c.safetensors").rename(tmp_path / "b.safetensors")
    (tmp_path / "b.safetensors").write_bytes(b"weightz")
    assert folder_sha256(tmp_path, [".safetensors"]) != first


@given(part=st.integers() | st.text(st.characters(exclude_categories=["Cs"])))
def test_a_seed_has_32_bits_and_depends_on_every_part(part: int | str) -> None:
    assert 0 <= seed_of("step", part) < 2**32 and seed_of("step", part) == seed_of("step", part)
    assert seed_of("step", part) != seed_of("other", part) and seed_of("step", part) != seed_of("step", part, 0)


def test_a_seed_of_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="must be finite"):
        seed_of("step", float("nan"))
