"""The defaults that depend on the number of training rows."""

import math

import pytest

from textmix.config.train import TrainConfig


@pytest.mark.parametrize(
    ("rows", "batch_size", "epochs", "save_steps"),
    [
        (1, 16, 200, None),
        (90, 16, 34, None),
        (450, 16, 7, None),
        (999, 16, 4, "epoch"),
        (1000, 32, 7, None),
        (4500, 32, 3, "epoch"),
        (1_000_000, 32, 3, "epoch"),
    ],
)
def test_few_rows_get_small_batches_and_more_epochs(
    rows: int, batch_size: int, epochs: int, save_steps: str | None
) -> None:
    found = TrainConfig().for_rows(rows)
    assert (found.batch_size, found.epochs, found.save_steps) == (batch_size, epochs, save_steps)
    assert epochs * math.ceil(rows / batch_size) >= 200


def test_what_is_given_stays() -> None:
    given = TrainConfig(batch_size=8, epochs=2, save_steps="epoch")
    assert given.for_rows(100) == given
    assert TrainConfig(batch_size=8).for_rows(100).epochs == 16
    assert TrainConfig(epochs=2).for_rows(100).batch_size == 16


def test_steps_are_those_of_all_processes() -> None:
    assert TrainConfig(accumulation_steps=2).for_rows(320).epochs == 20
    assert TrainConfig().for_rows(320, processes=2).epochs == 20
