"""The data of a run."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.task_files import CASES, Case, write_case
from textmix.config.parsing import read_recipe, with_options
from textmix.config.run import RunConfig
from textmix.data.config import DataConfig
from textmix.errors import ConfigError
from textmix.runs.data import read_data, with_task


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.task)
def test_processes_with_the_same_data_have_the_same_fingerprint(case: Case, tmp_path: Path) -> None:
    options = write_case(case, tmp_path)
    recipe = tmp_path / "r.yaml"
    columns = "[food, music, sport]" if case.task == "multi_label" else "label"
    recipe.write_text(f"data:\n  source: {options[1]}\n  label_column: {columns}\n")
    config, line = with_task(read_recipe(str(recipe)))
    assert line.startswith(f"task {case.task}: ")
    first, second = read_data(config), read_data(config)
    assert first.fingerprint() == second.fingerprint()
    second.targets["train"] = second.targets["train"][::-1]
    assert first.fingerprint() != second.fingerprint()
    assert isinstance(first.targets["train"], np.ndarray)


def test_sentence_vectors_of_tokens_are_not_normalized(tmp_path: Path) -> None:
    options = write_case(next(case for case in CASES if case.task == "token_classification"), tmp_path)
    config = with_options(RunConfig(DataConfig(options[1])), {"model.normalize": True})
    with pytest.raises(ConfigError, match=r"model\.normalize has no effect on task token_classification"):
        with_task(config)
