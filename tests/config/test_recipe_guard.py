from pathlib import Path

import pytest

from textmix.config.recipe_guard import check_recipe
from textmix.config.run import RunConfig
from textmix.data.config import DataConfig
from textmix.errors import ConfigError

BOMB = "\n".join(["a0: &a0 [x, x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9))])


def refused(path: Path, content: bytes | str) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as caught:
        check_recipe(path)
    return str(caught.value)


def test_what_textmix_writes_and_what_people_write_passes(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    for text in (RunConfig(DataConfig("x")).to_yaml(), "base: &b {source: x}\ndata: {<<: *b, text_column: t}\n", ""):
        path.write_text(text)
        check_recipe(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("train: {epochs: 1, epochs: 2}\n", "the recipe has 'epochs' twice in the mapping that starts in line 1"),
        ("data: {source: x}\nmix: {}\ndata: {}\n", "the recipe has 'data' twice in the mapping that starts in line 1"),
        (BOMB, "more than 20000 values, counted as often as aliases repeat them"),
        ("data: &a {source: *a}\n", "is nested too deep, or within itself"),
        ("mix: " + "[" * 60 + "]" * 60, "is nested too deep"),
        ("mix: " + "[" * 20_000, "is nested too deep"),
        ("data: {source: x}\n".encode("utf-16"), "the recipe is not UTF-8"),
        (b"data: {source: \x00}\n", "special characters are not allowed"),
        (b"---\n{}\n---\n{}\n", "expected a single document"),
        ("#" * 300_000, "has 300000 bytes, a recipe has at most 262144"),
    ],
)
def test_what_the_parser_would_hang_on_or_hide_is_refused(tmp_path: Path, content: bytes | str, message: str) -> None:
    assert message in refused(tmp_path / "r.yaml", content)


def test_pipes_devices_and_directories_are_no_recipes(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(ConfigError, match="is not a file"):
            check_recipe(path)
