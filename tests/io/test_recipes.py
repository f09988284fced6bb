"""Recipes by name, in a checkout and as they lie in an installed package."""

import shutil
from pathlib import Path

import pytest

from tests.support.launching import ROOT
from textmix.errors import ConfigError
from textmix.io import recipes
from textmix.io.recipes import find_recipe, list_recipes, recipe_path


def test_every_file_of_the_folder_is_a_recipe() -> None:
    files = [path for path in (ROOT / "recipes").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert sorted(recipe.path for recipe in list_recipes()) == sorted(files)
    assert len({recipe.name for recipe in list_recipes()}) == len(files)


def test_a_file_wins_over_a_name(in_tmp_path: Path) -> None:
    assert recipe_path("sentences/textcnn") == ROOT / "recipes" / "sentences" / "textcnn.yaml"
    Path("sentences").mkdir()
    Path("sentences/textcnn").touch()
    assert recipe_path("sentences/textcnn") == Path("sentences/textcnn")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("sentences/textcn", "sentences/textcnn"),
        ("textcnn", "sentences/textcnn"),
        ("bbc_news/minilm", "bbc_news/minilm_manifold"),
        ("recipes/bbc_news/textcnn_word.yaml", "bbc_news/textcnn_word"),
    ],
)
def test_a_wrong_name_is_told_with_the_nearest(name: str, nearest: str, in_tmp_path: Path) -> None:
    rest = f"recipe '{name}'; did you mean '{nearest}'? `textmix recipes` lists them"
    with pytest.raises(ConfigError) as caught:
        find_recipe(name)
    assert str(caught.value) == f"no {rest}"
    with pytest.raises(ConfigError) as caught:
        recipe_path(name)
    assert str(caught.value) == f"no file and no {rest}"


def test_names_lead_nowhere_else(in_tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^no recipe .*/pyproject.; `textmix recipes` lists them$"):
        find_recipe("../pyproject")


def test_a_file_for_another_program_is_no_recipe_of_a_run() -> None:
    with pytest.raises(ConfigError, match="'scale/fsdp' has no options of a run; it is for: accelerate launch"):
        recipe_path("scale/fsdp")


def test_an_installed_package_has_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "textmix" / "recipes"
    shutil.copytree(ROOT / "recipes" / "sentences", folder / "sentences")
    monkeypatch.setattr(recipes, "__file__", str(tmp_path / "textmix" / "io" / "recipes.py"))
    assert [recipe.path for recipe in list_recipes()] == [
        folder / "sentences" / f"{name}.yaml" for name in ("minilm", "textcnn")
    ]


def test_a_recipe_that_is_alone_in_its_folder_has_the_name_of_the_folder(in_tmp_path: Path) -> None:
    (in_tmp_path / "few_labels").mkdir()  # a directory is no recipe
    assert find_recipe("few_labels").name == "few_labels/minilm"
    assert recipe_path("few_labels") == find_recipe("few_labels/minilm").path
    with pytest.raises(ConfigError, match="bbc_news"):
        find_recipe("bbc_news")  # there are two
