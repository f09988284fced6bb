"""What pyproject.toml cannot say: the recipes are a part of the package, and the links of the README are absolute."""

import re
import tomllib
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def long_description() -> str:
    """Read the README with absolute links, because its relative ones lead nowhere on a package index."""
    source = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Source"]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    text = re.sub(r"(!\[[^\]]*\]\()(?!https?:)", rf"\1{source}/raw/main/", text)
    return re.sub(r"(\]\()(?!https?:|#)", rf"\1{source}/blob/main/", text)


setup(
    packages=[*find_packages(include=["textmix", "textmix.*"]), "textmix.recipes"],
    long_description=long_description(),
    long_description_content_type="text/markdown",
)
