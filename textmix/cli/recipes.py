"""`textmix recipes`."""

from pathlib import Path

from textmix.cli.common import command_parser
from textmix.cli.terminal import print_table
from textmix.config.parsing import parse
from textmix.errors import RunError
from textmix.evaluation.tables import Table
from textmix.io.files import write_text
from textmix.io.recipes import find_recipe, list_recipes


def recipes(arguments: list[str]) -> None:
    """List the recipes, or copy one to change it."""
    if arguments[:1] == ["copy"]:
        _copy(arguments[1:])
    else:
        parse(command_parser("recipes", "List the recipes; `textmix recipes copy NAME` copies one."), arguments)
        _list()


def _list() -> None:
    known = list_recipes()
    print_table(Table(("recipe", "description"), [(one.name, one.summary) for one in known if one.is_run]))
    print("Train one with: textmix train NAME; compare, crossval and sweep take it, too. Options after it override it.")
    others = [(one.name, one.command.split()[0], one.summary) for one in known if not one.is_run]
    print_table(Table(("to be copied", "for", "description"), others))
    print("Copy any of them with: textmix recipes copy NAME")


def _copy(arguments: list[str]) -> None:
    parser = command_parser("recipes copy", "Copy a recipe to change it: textmix recipes copy NAME [PATH]")
    parser.add_argument("name", help="a recipe that `textmix recipes` lists")
    parser.add_argument(
        "path", nargs="?", default=None, help="file or directory to write; null means its own file name, here"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a file that exists")
    options = parse(parser, arguments)
    recipe = find_recipe(options["name"])
    path = Path(options["path"] or recipe.path.name)
    target = path / recipe.path.name if path.is_dir() else path
    if not target.parent.is_dir():
        raise RunError(f"cannot write '{target}': there is no directory {target.parent}")
    if target.exists() and not options["overwrite"]:
        raise RunError(f"{target} exists; give another path, or --overwrite to replace it")
    write_text(target, recipe.path.read_text(encoding="utf-8"))
    print(f"copied to {target}" + (f"; train it with: textmix train {target}" if recipe.is_run else ""))
