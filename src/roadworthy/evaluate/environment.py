"""Environment writes down where a measurement was made, so that it can be made again."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("roadworthy", "numpy", "msgspec", "onnxruntime", "scikit-learn", "skl2onnx", "polars", "uvloop")


def environment() -> dict[str, str]:
    """Python, machine and the versions of the packages that decide an answer or its speed."""
    found = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": str(os.cpu_count() or "unknown"),
    }
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
