import os
from pathlib import Path

import pytest

from textmix.errors import RunError
from textmix.io.inputs import matching_paths, refuse_overwriting


@pytest.fixture
def places(in_tmp_path: Path) -> Path:
    """A file with two links to it, and a directory with a file and a link to the first."""
    Path("a.csv").write_text("text\n")
    Path("linked.csv").symlink_to("a.csv")
    os.link("a.csv", "hard.csv")
    Path("run/model").mkdir(parents=True)
    Path("run/predictions.csv").write_text("text\n")
    Path("run/link.csv").symlink_to("../a.csv")
    Path("rundir").symlink_to("run")
    return in_tmp_path


@pytest.mark.parametrize(
    ("target", "source"),
    [
        ("a.csv", "a.csv"),
        ("./run/../a.csv", "a.csv"),
        ("a.csv", "./run/../a.csv"),
        ("linked.csv", "a.csv"),
        ("a.csv", "linked.csv"),
        ("hard.csv", "a.csv"),
        ("a.csv", "*.csv"),
        ("a.csv", "{here}/**/a.csv"),
        ("run", "run/predictions.csv"),
        ("rundir", "run/predictions.csv"),
        ("run", "rundir/pred*.csv"),
        ("run", "run/link.csv"),
        ("run", "run/model"),
        ("run", "run"),
        ("run/predictions.csv", "run"),
    ],
)
def test_an_input_is_not_overwritten(places: Path, target: str, source: str) -> None:
    with pytest.raises(RunError, match=rf"^--output {Path(target)} would overwrite .*, an input of this command"):
        refuse_overwriting(Path(target), ["other.csv", source.replace("{here}", str(places))], "--output")


@pytest.mark.parametrize(
    ("target", "source"),
    [
        ("run/predictions.csv", "a.csv"),
        ("b.csv", "a.csv"),
        ("b.csv", "*.csv"),
        ("run", "a.csv"),
        ("run/model", "run/predictions.csv"),
        ("run", "."),  # a model's directory, which holds runs as well
        ("run", "bbc_news"),
        ("a.csv", "-"),
    ],
)
def test_what_is_no_input_may_be_written(places: Path, target: str, source: str) -> None:
    refuse_overwriting(Path(target), [source], "--output")


def test_a_file_named_like_a_glob_is_a_file(in_tmp_path: Path) -> None:
    for name in ("rev[1].csv", "rev1.csv"):
        Path(name).write_text("text\n")
    assert matching_paths("rev[1].csv") == ["rev[1].csv"]
    assert matching_paths("rev?.csv") == ["rev1.csv"]
    assert matching_paths("none*.csv") == matching_paths("bbc_news") == []
