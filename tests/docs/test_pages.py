"""The pages of the documentation: links, files that they name, tables that are made from the code."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from benchmarks import architectures
from tests.docs.pages import PAGES, README, ROOT, Page
from tests.support import family_table
from textmix.mixing.config import MixConfig, option_values
from textmix.mixing.registry import STRATEGIES
from textmix.models.config import WORD_MODELS

INDEX, STRATEGY_PAGE, ARCHITECTURE = Page("docs/index.md"), Page("docs/strategies.md"), Page("docs/architecture.md")
LANGUAGES = {"python", "bash", "text", "yaml"}


def test_the_readme_is_short() -> None:
    assert len(README.text.splitlines()) <= 150
    assert len(README.text.split()) < 1500


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_links_and_anchors_exist(page: Page) -> None:
    for link in page.links:
        if re.match(r"https?://", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.folder / name).resolve() if name else ROOT / page.path
        assert target.exists(), f"{page.path} links to {link}"
        if anchor:
            assert anchor in Page(str(target.relative_to(ROOT))).anchors, f"{page.path} links to {link}"


def test_the_index_links_to_every_page() -> None:
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert pages <= set(INDEX.links)
    assert "docs/index.md" in README.links


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_blocks_are_fenced_and_name_their_language(page: Page) -> None:
    assert {block.language for block in page.blocks()} <= LANGUAGES
    assert not re.search(r"^ {4}\w", page.prose, flags=re.MULTILINE), "an indented block is tested by nothing"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_files_that_are_named_exist(page: Page) -> None:
    folders = "textmix|tests|benchmarks|recipes|docs|data"
    for code in page.inline:
        for name in re.findall(rf"(?<![\w./-])(?:{folders})/[\w./]*", code):
            assert (ROOT / name).exists(), f"{page.path} names {name}"


def test_the_readme_and_the_cards_have_every_strategy() -> None:
    cards = re.findall(r"^### `(\w+)`", STRATEGY_PAGE.text, flags=re.MULTILINE)
    rows = re.findall(r"^\| `(\w+)` \|", README.section("Strategies"), flags=re.MULTILINE)[1:]
    assert set(cards) == set(STRATEGIES)
    assert {*rows, "none"} == set(STRATEGIES)


def test_the_page_of_strategies_explains_every_option() -> None:
    explained = set(re.findall(r"`([\w.]+)", STRATEGY_PAGE.section("Options")))
    told_elsewhere = {"strategy", "class_counts", "special_ids", "neighbours"}
    assert set(option_values(MixConfig())) - told_elsewhere <= explained


def test_the_page_of_models_has_those_of_words_and_the_table_of_families() -> None:
    models = Page("docs/models.md").text
    assert all(f"| `{name}` |" in models for name in WORD_MODELS)
    _, _, rest = models.partition(family_table.BEGIN)
    shown, end, _ = rest.partition(family_table.END)
    assert end, "docs/models.md has no table of families"
    assert shown == family_table.table()


def test_the_table_of_architectures_is_that_of_the_result_file() -> None:
    record = json.loads((ROOT / "benchmarks/results/architectures.json").read_text(encoding="utf-8"))
    assert not [name for name, result in record["outcomes"].items() if any("wrong" in one for one in result.values())]
    shown = Page("docs/models.md").text.split("<!-- architectures -->\n")[1].split("<!-- /architectures -->")[0]
    rows = [f"| {' | '.join(row)} |" for row in architectures.table(record["outcomes"])]
    assert shown.splitlines()[2:] == rows
    assert (record["mixed"], record["ran"]) == architectures.count(record["outcomes"])
    assert (
        f"{record['ran']} sequence classifiers of transformers that were tried, {record['mixed']} take" in README.text
    )


def test_the_extras_are_listed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| ([^|]+) \|", INDEX.section("Extras"), re.MULTILINE)))
    assert set(listed) == project["optional-dependencies"].keys()


def test_the_rooms_are_those_of_the_package_in_the_order_of_its_layers() -> None:
    rooms = re.findall(r"^\| `textmix/([\w.]+)/?` \|", ARCHITECTURE.section("Rooms"), flags=re.MULTILINE)
    there = [path.parent.name for path in (ROOT / "textmix").glob("*/__init__.py")]
    assert sorted(rooms) == sorted([*there, "errors.py"])
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    floors = [{name.strip().removeprefix("textmix.") for name in layer.split("|")} for layer in layers]
    floor_of = {room: floor for floor, names in enumerate(floors) for room in names}
    order = [floor_of[room.removesuffix(".py")] for room in rooms]
    assert order == sorted(order)


def test_the_picture_can_be_drawn_again(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "docs/pictures/sites.py", tmp_path / "sites.png"], check=True)
    drawn, kept = ((folder / "sites.png").read_bytes() for folder in (tmp_path, ROOT / "docs/pictures"))
    assert drawn[:24] == kept[:24]  # a PNG of the same size
