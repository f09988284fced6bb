"""How models of words are built from their options: Kim's four settings, sizes, and what is handed down."""

from pathlib import Path

import numpy as np
import pytest
import torch

from textmix.errors import ModelError
from textmix.models.config import WORD_MODELS, FastTextOptions, ModelConfig, TextCNNOptions, TextRNNOptions, WordOptions
from textmix.models.loading import build_model
from textmix.tasks.single_label import Classes

TEXTS = ["the soup is hot", "the match is lost"]
CLASSES = ["a", "b"]


@pytest.fixture
def vectors(tmp_path: Path) -> str:
    file = tmp_path / "vectors.txt"
    file.write_text("soup 1 2 3\nmatch 4 5 6\n[PAD] 7 7 7\n")
    return str(file)


@pytest.mark.parametrize("static", [True, False])
@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("name", WORD_MODELS)
def test_random_or_given_static_or_tuned(name: str, given: bool, static: bool, vectors: str) -> None:
    words = WordOptions(min_frequency=1, vectors=vectors if given else None, static=static)
    loaded = build_model(ModelConfig(name=name, words=words), Classes(CLASSES).to_config(), TEXTS)
    table = loaded.model.get_input_embeddings().weight
    assert table.requires_grad is not static
    assert table.shape == (len(loaded.tokenizer), 3 if given else 300)
    ids = dict(loaded.tokenizer.get_vocab())
    if given:
        assert table[[ids["soup"], ids["match"]]].tolist() == [[1, 2, 3], [4, 5, 6]]
    random = [number for word, number in ids.items() if word not in ("soup", "match", "[PAD]")]
    assert table[random].abs().max() <= 0.25
    assert table[random].abs().sum(dim=1).all()


@pytest.mark.parametrize("name", WORD_MODELS)
def test_padding_keeps_its_zero_vector_whatever_is_given(name: str, vectors: str) -> None:
    words = WordOptions(min_frequency=1, vectors=vectors)
    loaded = build_model(ModelConfig(name=name, words=words), Classes(CLASSES).to_config(), TEXTS)
    assert not loaded.model.get_input_embeddings().weight[0].any()


def test_options_reach_the_model() -> None:
    words = WordOptions(embedding_dim=7, initializer_range=0.01)
    cnn = build_model(
        ModelConfig("textcnn", words=words, textcnn=TextCNNOptions(2, [3])), Classes(CLASSES).to_config(), TEXTS
    ).model
    rnn = build_model(
        ModelConfig("textrnn", words=words, textrnn=TextRNNOptions(5, 2)), Classes(CLASSES).to_config(), TEXTS
    ).model
    mean = build_model(
        ModelConfig("fasttext", words=words, fasttext=FastTextOptions(2, 9)), Classes(CLASSES).to_config(), TEXTS
    ).model
    assert cnn.blocks[0].convolutions[0].weight.shape == (2, 7, 3)
    assert [block.forwards.hidden_size for block in rnn.blocks] == [5, 5]
    assert mean.embeddings.ngrams.weight.shape == (10, 7)
    assert all(model.get_input_embeddings().weight.abs().max() <= 0.01 for model in (cnn, rnn, mean))
    assert mean.config.id2label == {0: "a", 1: "b"}


def test_a_size_other_than_that_of_the_vectors(vectors: str) -> None:
    words = WordOptions(min_frequency=1, vectors=vectors, embedding_dim=4)
    with pytest.raises(ModelError, match=r"shape \(3,\) but model\.words\.embedding_dim is 4"):
        build_model(ModelConfig(name="fasttext", words=words), Classes(CLASSES).to_config(), TEXTS)


def test_given_vectors_do_not_change_the_first_weights_of_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the same size, so that runs with and without them can be compared seed by seed."""
    built = []
    for source in (None, "given"):
        monkeypatch.setattr(
            "textmix.models.words.build.read_vectors", lambda source, vocabulary: {3: np.ones(300, dtype=np.float32)}
        )
        torch.manual_seed(0)
        words = WordOptions(min_frequency=1, vectors=source)
        built.append(build_model(ModelConfig(name="textrnn", words=words), Classes(CLASSES).to_config(), TEXTS).model)
    for (name, first), second in zip(built[0].named_parameters(), built[1].parameters(), strict=True):
        same = torch.equal(first, second)
        assert same is (name != "embeddings.weight"), name
