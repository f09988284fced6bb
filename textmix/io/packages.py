"""Find the files of an installed package without importing it."""

import importlib.util
from pathlib import Path

from textmix.errors import TextmixError


def package_directory(package: str, distribution: str, extra: str = "bundled") -> Path:
    """Find the directory of a package of an extra.

    Args:
        package: Its import name; it is located, never imported.
        distribution: What pip calls it.
        extra: The extra that has it.

    Raises:
        TextmixError: If it is not installed; names the extra.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise TextmixError(
            f"the package {distribution} is not installed; install it with: pip install 'textmix[{extra}]'"
        )
    return Path(spec.submodule_search_locations[0])
