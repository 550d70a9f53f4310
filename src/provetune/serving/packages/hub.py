"""A package pushed to the hub: into a private repository unless somebody says otherwise."""

from __future__ import annotations

from pathlib import Path

from provetune.errors import FolderError, SpecError
from provetune.records.package import Package
from provetune.serving.packages.build import check_sums


def push_package(package: Package, folder: Path, repository: str, *, public: bool) -> Package:
    """Push a package to a repository of the hub, made where there is none: private unless `public`. FolderError where the hub refuses."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    check_sums(folder)
    api = HfApi()
    try:
        api.create_repo(repository, private=not public, exist_ok=True)
        if not public and api.repo_info(repository).private is not True:
            raise SpecError(f"{repository}: the repository is there and public; name another, or say --public")
        commit = api.upload_folder(repo_id=repository, folder_path=folder, commit_message=f"{package.release}, {package.form}")
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise FolderError(f"{repository}: the hub refused it ({type(error).__name__}: {error}); log in with `hf auth login`") from error
    return package.model_copy(update={"pushed_to": str(commit.commit_url)})
