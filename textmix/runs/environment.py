"""Machine and package versions, recorded with each run."""

import os
import platform
import sys
from importlib.metadata import version
from typing import Any

import torch

from textmix.io.compat import cpu_capabilities

_PACKAGES = ("textmix", "torch", "transformers", "tokenizers", "datasets", "accelerate", "scikit-learn", "numpy")


def environment(precision: str) -> dict[str, Any]:
    """Return machine and package versions.

    Args:
        precision: Precision of the run, recorded with them.
    """
    cuda = torch.cuda.is_available()
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processor": str(cpu_capabilities().get("cpu_name", platform.processor())),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "precision": precision,
        "packages": {name: version(name) for name in _PACKAGES},
    }
