"""A finished run that the tests of all commands share."""

from pathlib import Path

import pytest

from tests.support.commands import QUICK
from tests.support.topics import topic_rows
from textmix.cli.main import main


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the topics."""
    directory = tmp_path_factory.mktemp("cli")
    source = directory / "topics.csv"
    rows = topic_rows(90)
    source.write_text("review,stars\n" + "".join(f"{text},{label}\n" for text, label in rows))
    columns = ["--data.text_column", "review", "--data.label_column", "stars"]
    mixing = [
        "--mix.strategy",
        "manifold",
        "--mix.fold_lam",
        "true",
    ]  # so little training learns more of rows that weigh most themselves
    code = main(
        ["train", "--data.source", str(source), *columns, *QUICK, *mixing, "--output_dir", str(directory / "run")]
    )
    assert code == 0
    return directory / "run"
