"""The wheel, built from the source distribution, installed away from the checkout, and used in an empty folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import SMALL
from tests.support.topics import topic_rows
from textmix.io.recipes import list_recipes

ROOT = Path(__file__).parents[1]
# What the wheel is made of; a build writes beside it.
PARTS = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "textmix", "recipes")


def run(arguments: list[str | Path], folder: Path, **variables: str) -> str:
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **variables}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of an installed wheel."""
    copy, built, target = (tmp_path_factory.mktemp(name) for name in ("copy", "built", "installed"))
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, copy / name)
    run(["-c", f"from setuptools import build_meta; build_meta.build_sdist({str(built)!r})"], copy)
    (source,) = built.glob("*.tar.gz")
    offline = ["--quiet", "--no-deps", "--no-index"]
    run(["-m", "pip", "wheel", *offline, "--no-build-isolation", "--wheel-dir", built, source], copy)
    (wheel,) = built.glob("*.whl")
    run(["-m", "pip", "install", *offline, "--target", target, wheel], built)
    return target


@pytest.mark.slow
def test_recipes_are_listed_copied_and_trained_by_name(installed: Path, tmp_path: Path) -> None:
    def textmix(*words: str) -> str:
        return run(["-m", "textmix", *words], tmp_path, PYTHONPATH=str(installed), COLUMNS="120")

    place = run(["-c", "import textmix; print(textmix.__file__)"], tmp_path, PYTHONPATH=str(installed))
    assert Path(place.strip()).parent == installed / "textmix"
    listing = textmix("recipes")
    assert all(f" {recipe.name} " in listing for recipe in list_recipes())
    assert textmix("recipes", "copy", "sentences/textcnn").startswith("copied to textcnn.yaml")
    assert (tmp_path / "textcnn.yaml").read_bytes() == (ROOT / "recipes/sentences/textcnn.yaml").read_bytes()
    rows = "".join(f"{text},{label}\n" for text, label in topic_rows(60))
    (tmp_path / "rows.csv").write_text(f"text,label\n{rows}")
    short = ["--train.max_steps", "2", "--output_dir", "run"]
    assert "saved to run" in textmix("train", "sentences/textcnn", "--data.source", "rows.csv", *SMALL, *short)


def test_the_links_of_its_description_are_absolute(installed: Path) -> None:
    (metadata,) = installed.glob("textmix-*.dist-info/METADATA")
    text = metadata.read_text(encoding="utf-8")
    relative = [link for link in text.split("](")[1:] if not link.startswith(("https://", "#"))]
    assert len(text.split("](")) > 10
    assert relative == []
    assert "/raw/main/docs/pictures/sites.png)" in text
