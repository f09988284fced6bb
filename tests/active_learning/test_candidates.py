"""Candidates: what the model says of the rows of a pool, and how many rows are held."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn
from transformers import BertForSequenceClassification, GPT2Config, GPT2ForSequenceClassification

from tests.support.masked_lm import PAD, VOCABULARY, piece_tokenizer, small_config
from tests.support.topics import topic_rows
from textmix import Predictor, TextCNN, TextCNNConfig
from textmix.active_learning import candidates
from textmix.active_learning.candidates import Candidates, find_candidates, reasons
from textmix.active_learning.choice import margins
from textmix.errors import ModelError
from textmix.models.words.tokenizer_training import train_tokenizer

TEXTS = [text for text, _ in topic_rows(60)]
NAMES = {"id2label": {0: "x", 1: "y", 2: "z"}, "label2id": {"x": 0, "y": 1, "z": 2}}


def word_predictor() -> Predictor:
    torch.manual_seed(0)
    tokenizer = train_tokenizer(TEXTS, min_frequency=1)
    config = TextCNNConfig(vocab_size=len(tokenizer), embedding_dim=8, num_filters=4, **NAMES)
    return Predictor(TextCNN(config).eval(), tokenizer, batch_size=8)


def bert_predictor() -> Predictor:
    torch.manual_seed(0)
    config = small_config()
    config.update(NAMES)
    return Predictor(BertForSequenceClassification(config).eval(), piece_tokenizer(), batch_size=8)


def gpt_predictor() -> Predictor:
    """A model that pools behind its head, whose input is (B, L, H)."""
    torch.manual_seed(0)
    sizes = {"vocab_size": len(VOCABULARY), "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64}
    config = GPT2Config(**sizes, pad_token_id=PAD, **NAMES)
    return Predictor(GPT2ForSequenceClassification(config).eval(), piece_tokenizer(), batch_size=8)


def windows(texts: list[str], size: int = 16) -> list[pa.Table]:
    rows = [{"id": number, "text": text} for number, text in enumerate(texts)]
    return [pa.Table.from_pylist(rows[start : start + size]) for start in range(0, len(rows), size)]


def find(predictor: Predictor, texts: list[str], criterion: Any = "margin", **options: Any) -> Candidates:
    return find_candidates(predictor, windows(texts), options.pop("labeled", ()), criterion, 0, **options)


@pytest.mark.parametrize(
    ("build", "head"), [(word_predictor, "classifier"), (bert_predictor, "classifier"), (gpt_predictor, "score")]
)
def test_probabilities_and_sentence_vectors_are_the_models(build: Any, head: str) -> None:
    predictor = build()
    found = find(predictor, TEXTS)
    np.testing.assert_allclose(found.probabilities, predictor(TEXTS), atol=1e-6)
    last = predictor.model.get_submodule(head)
    assert isinstance(last, nn.Linear)
    logits = found.vectors @ last.weight.detach().numpy().T
    logits = logits + (last.bias.detach().numpy() if last.bias is not None else 0)
    again = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(again / again.sum(axis=1, keepdims=True), found.probabilities, atol=1e-5)
    assert not last._forward_pre_hooks


def test_an_average_behind_the_head_is_taken_of_real_positions() -> None:
    hidden, mask = torch.randn(3, 4, 2), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 1]])
    for averages in (True, False):
        pooled = candidates._pooled(hidden, mask, averages)
        for row in range(3):
            real = [hidden[row, place] for place in range(4) if mask[row, place]]
            torch.testing.assert_close(pooled[row], sum(real) / len(real) if averages else real[-1])


def test_a_model_without_a_head_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = bert_predictor()
    predictor.model.config.num_labels = 7  # of which no linear map has as many outputs
    with pytest.raises(ModelError, match="BertForSequenceClassification has no last linear map"):
        find(predictor, TEXTS)


def test_rows_keep_their_columns_and_places() -> None:
    found = find(word_predictor(), TEXTS)
    assert [row["id"] for row in found.rows] == list(range(60))
    assert [(row["text"],) for row in found.rows] == found.texts
    assert found.seen == 60
    assert found.expected_errors == pytest.approx(float(np.mean([1 - max(row) for row in found.probabilities])))


def test_labelled_empty_and_repeated_texts_are_left_out() -> None:
    done: list[int] = []
    texts = ["a", "", "b", "a", " ", "c", "d"]
    found = find(word_predictor(), texts, labeled={("c",)}, progress=done.append)
    assert found.texts == [("a",), ("b",), ("d",)]
    assert found.seen == 3
    assert sum(done) == len(texts)


def test_a_pool_without_new_rows() -> None:
    found = find(word_predictor(), ["a", ""], labeled={("a",)})
    assert (found.rows, found.seen, found.expected_errors) == ([], 0, 0.0)


@pytest.mark.parametrize("criterion", ["margin", "both", "diversity"])
def test_few_rows_of_a_large_pool_are_held(monkeypatch: pytest.MonkeyPatch, criterion: str) -> None:
    predictor, texts = word_predictor(), [text for text, _ in topic_rows(400)]
    everything = find(predictor, texts)
    monkeypatch.setattr(candidates, "MOST", 10)
    known: list[int] = []
    held: list[int] = []
    new, add = candidates._new, candidates._Kept.add

    def count_known(window: pa.Table, columns: list[str], texts: set[Any]) -> Any:
        known.append(len(texts))
        return new(window, columns, texts)

    def count_held(self: Any, rows: list[Any], *others: Any) -> None:
        held.append(len(self._rows) + len(rows))
        add(self, rows, *others)

    monkeypatch.setattr(candidates, "_new", count_known)
    monkeypatch.setattr(candidates._Kept, "add", count_held)
    found = find(predictor, texts, criterion, labeled={("labelled",)})
    assert max(held) == 10 + 16
    assert max(known) == 10 + 1
    assert len(found.rows) == len(found.texts) == len(found.probabilities) == len(found.vectors) == 10
    assert found.seen == 400
    assert found.expected_errors == pytest.approx(everything.expected_errors)
    ids = [row["id"] for row in found.rows]
    assert ids == sorted(ids)
    least = np.sort(np.argsort(margins(everything.probabilities), kind="stable")[:10]).tolist()
    assert (ids == least) == (criterion != "diversity")


def test_pairs_are_scored_together() -> None:
    predictor = word_predictor()
    predictor.text_columns = ["a", "b"]
    table = pa.table({"a": TEXTS[:5], "b": TEXTS[5:10]})
    found = find_candidates(predictor, [table], (), "margin", 0)
    np.testing.assert_allclose(found.probabilities, predictor(TEXTS[:5], TEXTS[5:10]), atol=1e-6)
    assert found.texts == list(zip(TEXTS[:5], TEXTS[5:10], strict=True))


def test_reasons() -> None:
    probabilities = np.array([[0.5, 0.3, 0.2], [0.1, 0.45, 0.45], [0.0, 0.0, 1.0]])
    vectors = np.array([[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]])
    found = Candidates([], [], probabilities, vectors, 0.0, 3)
    said = list(reasons(found, np.array([0, 2, 1]), ["x", "y", "z"]))
    assert said[0] == "x 0.50 or y 0.30"
    assert said[1] == "z 1.00 or x 0.00; similarity to the most similar row before: 0.71"
    assert said[2] == "y 0.45 or z 0.45; similarity to the most similar row before: 0.71"
