from pathlib import Path

import pytest

from textmix.config.run import RunConfig
from textmix.config.strict_yaml import load_yaml
from textmix.data.config import DataConfig
from textmix.errors import ConfigError

BOMB = "\n".join(["a0: &a0 [x, x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9))])

# Aliases may also add up to many levels.
LADDER = "\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 60))])


def refused(path: Path, content: bytes | str) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as caught:
        load_yaml(path)
    return str(caught.value)


def test_what_textmix_writes_and_what_people_write_is_read(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    config = RunConfig(DataConfig("x"))
    for text, content in (
        (config.to_yaml(), config.to_dict()),
        ("base: &b {source: x}\ndata: {<<: *b, label_column: t}\n", {"data": {"source": "x", "label_column": "t"}}),
        ("", None),
    ):
        path.write_text(text)
        found = load_yaml(path)
        assert found == content if content is None else found.items() >= content.items()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("train: {epochs: 1, epochs: 2}\n", "r.yaml has 'epochs' twice in the mapping that starts in line 1"),
        ("data: {source: x}\nmix: {}\ndata: {}\n", "r.yaml has 'data' twice in the mapping that starts in line 1"),
        (BOMB, "more than 20000 values, counted as often as aliases repeat them"),
        ("data: &a {source: *a}\n", "is nested too deep, or contains itself"),
        ("mix: " + "[" * 60 + "]" * 60, "is nested too deep"),
        (LADDER, "is nested too deep"),
        ("mix: " + "[" * 20_000, "is nested too deep"),
        ("data: {source: x}\n".encode("utf-16"), "r.yaml is not UTF-8"),
        (b"data: {source: \x00}\n", "special characters are not allowed"),
        (b"---\n{}\n---\n{}\n", "expected a single document"),
        ("data: {source: 2026-13-01}\n", "cannot read"),
        ("data: {? [a] : b}\n", "found unhashable key"),
        ("data: {source: !!python/name:os.system ''}\n", "could not determine a constructor"),
        ("#" * 300_000, "has 300000 bytes; at most 262144 are read"),
    ],
)
def test_what_the_parser_would_hang_on_or_hide_is_refused(tmp_path: Path, content: bytes | str, message: str) -> None:
    assert message in refused(tmp_path / "r.yaml", content)


def test_pipes_devices_and_directories_are_no_recipes(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(ConfigError, match="is not a file"):
            load_yaml(path)
