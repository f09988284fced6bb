import numpy as np
import pytest
import torch

from textmix import Predictor, TextCNN, TextCNNConfig
from textmix.models.vocabulary import train_tokenizer
from textmix.prediction import predict_logits

TEXTS = ["a b c d e f", "b", "", "c d", "a a a", "f e d c b"]


@pytest.fixture
def predictor() -> Predictor:
    torch.manual_seed(0)
    tokenizer = train_tokenizer(TEXTS, min_frequency=1)
    config = TextCNNConfig(
        vocab_size=len(tokenizer), embedding_dim=8, num_filters=4, id2label={0: "x", 1: "y"}, label2id={"x": 0, "y": 1}
    )
    return Predictor(TextCNN(config).eval(), tokenizer, batch_size=2)


def test_rows_come_back_in_order_whatever_their_lengths(predictor: Predictor) -> None:
    together = predictor(TEXTS)
    alone = np.concatenate([predictor([text]) for text in TEXTS])
    assert together.shape == (6, 2)
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-12)
    assert predictor.class_names == ["x", "y"]


def test_no_texts_give_no_rows(predictor: Predictor) -> None:
    assert predictor([]).shape == (0, 2)


def test_pairs_go_with_their_texts(predictor: Predictor) -> None:
    pairs = ["f", "a b", "c", "", "e e", "b"]
    together = predictor(TEXTS, pairs)
    alone = np.concatenate([predictor([text], [pair]) for text, pair in zip(TEXTS, pairs, strict=True)])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert not np.allclose(together, predictor(TEXTS))


def test_the_model_returns_to_the_mode_it_was_in(predictor: Predictor) -> None:
    predictor.model.train()
    predictor(TEXTS)
    assert predictor.model.training
    with pytest.raises(RuntimeError, match="stop"):
        predict_logits(predictor.model, [{"input_ids": torch.ones(1, 2).long()}], gather=lambda _: _stop())
    assert predictor.model.training


def _stop() -> torch.Tensor:
    raise RuntimeError("stop")


def test_dropout_is_off(predictor: Predictor) -> None:
    predictor.model.train()
    np.testing.assert_array_equal(predictor(TEXTS), predictor(TEXTS))
