"""Rows that are several inputs: their logits are the average of those of each input alone."""

from typing import Any

import pytest
import torch

from tests.support.model_classes import WORDS, build
from textmix.data.long_text import LONG_TEXT, WINDOWS, split_windows
from textmix.data.tokenization import encode
from textmix.models.logits import predict_logits, text_logits
from textmix.models.words.tokenizer_training import train_tokenizer
from textmix.training.batches import padded_loader

TEXTS = ["a b c d e f g h i j k l", "a", "c d e f g h", "", "k j i h g f e d c b a a b c d e f g"]


@pytest.fixture(params=["BERT sequence", *WORDS])
def model(request: pytest.FixtureRequest) -> Any:
    return build(request.param).double()


@pytest.fixture
def tokenizer() -> Any:
    made = train_tokenizer(TEXTS, min_frequency=1)
    made.model_max_length, made.init_kwargs[LONG_TEXT] = 4, WINDOWS
    return made


def alone(model: Any, tokenizer: Any, text: str) -> torch.Tensor:
    """Run each window of a text alone and average the logits; the empty text is a masked position."""
    logits = []
    for window in split_windows(encode(tokenizer, [text])[0]):
        ids = window["input_ids"]
        mask = torch.tensor([[1] * len(ids) or [0]])
        logits.append(model(input_ids=torch.tensor([ids or [0]]), attention_mask=mask).logits[0])
    return torch.stack(logits).mean(dim=0)


def test_texts_in_windows(model: Any, tokenizer: Any) -> None:
    sizes, finished = [], []
    handle = model.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    found = text_logits(model, tokenizer, TEXTS, None, 3, finished.append)
    handle.remove()
    expected = torch.stack([alone(model, tokenizer, text) for text in TEXTS])
    torch.testing.assert_close(found, expected.float(), atol=1e-5, rtol=0)
    assert max(sizes) == 3
    assert sum(finished) == len(TEXTS)


def test_batches_of_windows(model: Any, tokenizer: Any) -> None:
    rows = [{**row, "labels": 0} for row in encode(tokenizer, TEXTS)]
    sizes = []
    handle = model.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    found = predict_logits(model, padded_loader(rows, tokenizer, batch_size=2))
    handle.remove()
    expected = torch.stack([alone(model, tokenizer, text) for text in TEXTS])
    torch.testing.assert_close(found, expected.float(), atol=1e-5, rtol=0)
    assert max(sizes) == 2
