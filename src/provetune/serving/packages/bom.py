"""The bill of materials: model, base, data and libraries, as CycloneDX 1.6 JSON (ECMA-424)."""

from __future__ import annotations

import importlib.metadata
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from provetune import __version__
from provetune.hashing import file_sha256, readable_json
from provetune.records.package import Package
from provetune.records.release import Release

RUNTIME = ("torch", "transformers", "tokenizers", "safetensors", "peft", "numpy", "huggingface-hub", "jinja2")
"""Libraries that load the package; what they need in turn is added where it is installed."""
_WEIGHTS = (".safetensors", ".gguf")


def bill_of_materials(release: Release, package: Package, folder: Path) -> str:
    """One JSON document; no clock and no chance in it: the same package gives the same bytes."""
    base = release.candidate.model
    files = sorted(path for path in folder.iterdir() if path.suffix in _WEIGHTS)
    model: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": "model",
        "name": release.project,
        "version": f"v{release.version}",
        "hashes": [{"alg": "SHA-256", "content": file_sha256(file)} for file in files],
        "properties": [{"name": "provetune:evidence", "value": release.evidence_sha256}, {"name": "provetune:form", "value": package.form}],
    }
    components: list[dict[str, Any]] = []
    if base is not None:
        named = {"type": "machine-learning-model", "bom-ref": "base", "name": base.name, "version": base.revision}
        components.append({**named, "hashes": [{"alg": "SHA-256", "content": base.weights_sha256}], "licenses": _licences(base.licence)})
    for number, link in enumerate(one for one in release.licences if one.of != "base model"):
        components.append({"type": "data", "bom-ref": f"data-{number}", "name": link.name, "licenses": _licences(link.licence)})
    components += _libraries()
    return readable_json(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, release.fingerprint + package.form)}",
            "version": 1,
            "metadata": {
                "timestamp": release.made_at,
                "tools": {"components": [{"type": "application", "name": "provetune", "version": __version__}]},
                "component": model,
            },
            "components": components,
            "dependencies": [{"ref": "model", "dependsOn": [component["bom-ref"] for component in components]}],
        }
    )


def _licences(name: str) -> list[dict[str, Any]]:
    return [{"license": {"name": name}}]


def _libraries() -> Iterator[dict[str, Any]]:
    """Installed libraries that loading needs, with version and licence."""
    seen: dict[str, dict[str, Any]] = {}
    waiting = list(RUNTIME)
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in seen:
            continue
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        licence = next((found.metadata[key] for key in ("License-Expression", "License") if key in found.metadata), "unknown")
        seen[name] = {
            "type": "library",
            "bom-ref": f"pkg:pypi/{name}@{found.version}",
            "name": name,
            "version": found.version,
            "purl": f"pkg:pypi/{name}@{found.version}".replace("+", "%2B"),
            "licenses": _licences(licence.splitlines()[0][:100] if licence.strip() else "unknown"),
        }
        needs = [text for text in found.requires or () if "extra ==" not in text]
        waiting += [_name(text) for text in needs]
    yield from (seen[name] for name in sorted(seen))


def _name(requirement: str) -> str:
    name = ""
    for letter in requirement:
        if not (letter.isalnum() or letter in "-_."):
            break
        name += letter
    return name
