"""Packages of a release: weights with everything that is needed to run, check and explain them."""

from provetune.serving.packages.build import PackageRequest, build, check_sums

__all__ = ["PackageRequest", "build", "check_sums"]
