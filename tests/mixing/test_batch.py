from dataclasses import replace
from functools import partial

import pytest
import torch

from tests.mixing.batches import random_batch
from textmix.errors import ConfigError
from textmix.mixing.batch import MixBatch

IDS = torch.tensor([[1, 7, 0, 8, 2, 0], [0, 0, 1, 9, 2, 9]])
MASK = torch.tensor([[1, 1, 1, 0, 1, 0], [0, 0, 1, 1, 1, 1]]).bool()


def batch(**fields: object) -> MixBatch:
    given = {"input_ids": IDS, "mask": MASK, "special_ids": torch.tensor([0, 1, 2]), **fields}
    return MixBatch(2, torch.device("cpu"), 0.4, torch.zeros(2, dtype=torch.long), **given)


def test_content_is_neither_padding_nor_special() -> None:
    assert batch().content.int().tolist() == [[0, 1, 0, 0, 0, 0], [0, 0, 0, 1, 0, 1]]
    assert batch(mask=None).content.int().tolist() == [[0, 1, 0, 1, 0, 0], [0, 0, 0, 1, 0, 1]]
    assert torch.equal(batch(special_ids=torch.tensor([])).content, MASK)


def test_lengths_count_real_positions() -> None:
    assert batch().lengths.tolist() == [4, 4]
    assert batch(mask=None).lengths.tolist() == [0, 0]


def test_what_is_costly_is_made_when_asked_for() -> None:
    made = random_batch(size=4, hidden_size=3)
    assert made.means.shape == (4, 3)
    assert made.saliency.shape == (4, 7)
    assert made.probabilities.shape == (4, 3)
    unknown = replace(made, find_means=batch().find_means, find_saliency=batch().find_saliency)
    for name in ("means", "saliency"):
        with pytest.raises(ConfigError, match=r"^the embeddings of this batch are not known: give find_means"):
            getattr(unknown, name)
    with pytest.raises(ConfigError, match=r"^the model's probabilities for this batch are not known: give find_prob"):
        _ = batch().probabilities


def test_what_is_costly_is_made_once() -> None:
    asked: list[str] = []

    def found(name: str) -> torch.Tensor:
        asked.append(name)
        return torch.zeros(2, 3)

    names = ("means", "saliency", "probabilities")
    made = batch(**{f"find_{name}": partial(found, name) for name in names})
    assert asked == []
    assert all(getattr(made, name) is getattr(made, name) for name in names)
    assert asked == list(names)
