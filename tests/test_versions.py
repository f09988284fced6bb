"""The versions that pyproject.toml allows, against constraints-lowest.txt, in which `make lowest` runs the tests."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
# Those of `make lowest`, where torch is too old for `export`.
EXTRAS = ("bundled", "vectors", "plots", "sweep", "excel", "lora")


def bounds() -> list[tuple[str, str, str]]:
    """Return each lower bound of what users install: name, operator, version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for extra in EXTRAS for line in project["optional-dependencies"][extra])]
    found = []
    for requirement in map(Requirement, lines):
        lower = [one for one in requirement.specifier if one.operator in (">=", "==")]
        assert len(lower) == 1, f"{requirement.name} has no lower bound"
        found.append((requirement.name, lower[0].operator, lower[0].version))
    return found


def padded(version: str) -> str:
    return version + ".0" * (2 - version.count("."))


@pytest.mark.parametrize(("name", "version"), [(name, version) for name, _, version in bounds()])
def test_every_floor_is_what_the_tests_run_in(name: str, version: str) -> None:
    lines = (ROOT / "constraints-lowest.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert padded(pinned[name]) == padded(version)


def test_minor_versions_of_transformers_are_not_capped() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    [bound] = [one for one in map(Requirement, project["dependencies"]) if one.name == "transformers"]
    assert {(one.operator, one.version) for one in bound.specifier if one.operator != ">="} == {("<", "6")}
