"""Find the recipes that come with textmix by name: `sentences/textcnn` is recipes/sentences/textcnn.yaml."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from textmix.errors import ConfigError, nearest


@dataclass(frozen=True)
class Recipe:
    """A file of the folder recipes: options of a run, or a file for another program.

    Args:
        name: Its path in the folder, without the suffix, as in `sentences/textcnn`.
        path: The file.
        command: The command that it is for, from its first line.
        summary: What it is, from its second line.
    """

    name: str
    path: Path
    command: str
    summary: str

    @property
    def is_run(self) -> bool:
        """Whether it has the options of a run, which `textmix train` takes."""
        return self.command.startswith("textmix ")


def list_recipes() -> list[Recipe]:
    """List the recipes that come with textmix, sorted by name."""
    folder = _folder()
    recipes = []
    for path in folder.glob("*/*.*"):
        if path.suffix in (".yaml", ".py"):
            command, summary = (line.removeprefix("# ") for line in path.read_text(encoding="utf-8").splitlines()[:2])
            recipes.append(Recipe(path.relative_to(folder).with_suffix("").as_posix(), path, command, summary))
    return sorted(recipes, key=lambda recipe: recipe.name)


def _folder() -> Path:
    """Find the folder: inside an installed package, beside the package in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "recipes"
    return installed if installed.is_dir() else package.parent / "recipes"


def find_recipe(name: str) -> Recipe:
    """Find a recipe by name.

    Raises:
        ConfigError: If there is none; suggests the nearest.
    """
    return _find(name, f"no recipe '{name}'")


def recipe_path(name: str) -> Path:
    """Find the options of a run: a file, or a recipe by name; a file that exists wins.

    Raises:
        ConfigError: If there is neither, or the recipe is for another program.
    """
    if Path(name).is_file():
        return Path(name)
    recipe = _find(name, f"no file and no recipe '{name}'")
    if not recipe.is_run:
        raise ConfigError(f"the recipe '{name}' has no options of a run; it is for: {recipe.command}")
    return recipe.path


def names_run(name: str) -> bool:
    """Test whether a name is that of a recipe with the options of a run."""
    recipe = _by_name().get(name)
    return recipe is not None and recipe.is_run


def _by_name() -> dict[str, Recipe]:
    """Return the recipes by name; the only one of a folder has the name of the folder, too."""
    recipes = list_recipes()
    folders = Counter(str(Path(recipe.name).parent) for recipe in recipes)
    alone = {folder: recipe for recipe in recipes if folders[folder := str(Path(recipe.name).parent)] == 1}
    return {**alone, **{recipe.name: recipe for recipe in recipes}}


def _find(name: str, missing: str) -> Recipe:
    recipes = _by_name()
    if name not in recipes:
        same = [known for known in recipes if Path(known).name == Path(name).stem]  # only the folder is wrong
        near = nearest(name, recipes) or (f"; did you mean '{same[0]}'?" if len(same) == 1 else ";")
        raise ConfigError(f"{missing}{near} `textmix recipes` lists them")
    return recipes[name]
