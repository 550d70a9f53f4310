"""Where a base model's files are: the packaged starter, a folder, or a model of the hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

from provetune.errors import ModelError

STARTER = Path(__file__).parent / "starter"
_FILES = ["*.safetensors", "*.json", "*.jinja", "tokenizer.model", "LICENSE*", "README.md"]


def model_folder(name: str, revision: str, project: Path, offline: bool = False) -> Path:
    """Folder with `config.json`, tokenizer and safetensors of the base model called `name`.

    `starter` is the packaged model; a path is tried from the project folder; anything else is a hub id.
    Raises ModelError where nothing is found, or where weights come in another form than safetensors.
    """
    if name == "starter":
        return _checked(STARTER, name)
    for folder in (Path(name).expanduser(), project / name):
        if folder.is_dir():
            return _checked(folder.resolve(), name)
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise ModelError(
            f"base.model: found {name!r}, which is neither a folder here nor a hub id; wanted `starter`, a folder with config.json, "
            "or `owner/name`. Run `provetune doctor` to see what can be reached"
        )
    try:
        found = snapshot_download(name, revision=revision, allow_patterns=_FILES, local_files_only=offline)
    except (HfHubHTTPError, RepositoryNotFoundError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise ModelError(
            f"base.model: {name!r} (revision {revision!r}) could not be fetched from the hub ({type(error).__name__}). "
            "Check the name and the network, or name a folder; `base: starter` works offline"
        ) from error
    return _checked(Path(found), name)


def _checked(folder: Path, name: str) -> Path:
    if not (folder / "config.json").is_file():
        raise ModelError(f"base.model: {name!r} has no config.json in {folder}; wanted a transformers model folder")
    if not list(folder.glob("*.safetensors")):
        kinds = sorted({item.suffix for item in folder.iterdir() if item.suffix in {".bin", ".pt", ".pth", ".ckpt", ".gguf"}})
        raise ModelError(
            f"base.model: {name!r} has no *.safetensors in {folder} (found {', '.join(kinds) or 'no weights'}); "
            "other forms are not loaded, convert it with transformers' save_pretrained first"
        )
    return folder
