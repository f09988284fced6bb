"""What holds for every model of words."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from textmix import FastText, FastTextConfig, TextCNN, TextCNNConfig, TextRNN, TextRNNConfig
from textmix.errors import ModelError
from textmix.models.words.base import WordModel
from textmix.models.words.tokenizer_training import train_tokenizer

Tiny = Callable[..., WordModel]
KINDS = {
    "textcnn": lambda **options: TextCNN(TextCNNConfig(num_filters=20, **options)),
    "textrnn": lambda **options: TextRNN(TextRNNConfig(lstm_units=5, num_hidden_layers=2, **options)),
    "fasttext": lambda **options: FastText(FastTextConfig(**options)),
    "fasttext, 3-grams": lambda **options: FastText(FastTextConfig(ngrams=3, buckets=50, **options)),
}


@pytest.fixture(params=KINDS)
def tiny(request: pytest.FixtureRequest) -> Tiny:
    def build(**options: object) -> WordModel:
        torch.manual_seed(0)
        model = KINDS[request.param](**{"vocab_size": 30, "embedding_dim": 6, "num_labels": 3, **options})
        for parameter in model.parameters():  # not the zeros that biases and n-grams have at first
            if not parameter.detach().any():
                torch.nn.init.normal_(parameter)
        return model.eval()

    return build


@pytest.mark.parametrize("length", [1, 2, 3, 7])
def test_padding_never_changes_a_row_s_logits(tiny: Tiny, length: int) -> None:
    model, ids = tiny().double(), torch.arange(3, 3 + length)[None]
    alone = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    torch.testing.assert_close(model(input_ids=ids).logits, alone)
    for sides in ((0, 1), (0, 9), (4, 0), (2, 3)):
        wide = torch.nn.functional.pad(ids, sides, value=17)  # not even the padding id
        mask = torch.nn.functional.pad(torch.ones_like(ids), sides)
        torch.testing.assert_close(model(input_ids=wide, attention_mask=mask).logits, alone)


def test_every_position_matters(tiny: Tiny) -> None:
    model, ids = tiny(), torch.arange(3, 12)[None]
    logits = model(input_ids=ids).logits
    for position in range(ids.shape[1]):
        changed = ids.clone()
        changed[0, position] = 25
        assert not torch.equal(model(input_ids=changed).logits, logits), position


def test_an_empty_text_gets_the_prior(tiny: Tiny) -> None:
    model = tiny()
    empty = torch.zeros(2, 0, dtype=torch.long)
    logits = model(input_ids=empty, attention_mask=empty).logits
    torch.testing.assert_close(logits, model.classifier.bias.expand(2, 3))
    masked = model(input_ids=torch.full((2, 4), 9), attention_mask=torch.zeros(2, 4)).logits
    torch.testing.assert_close(masked, model.classifier.bias.expand(2, 3))


def test_ids_and_their_vectors_give_the_same_logits_and_exclude_each_other(tiny: Tiny) -> None:
    model, ids = tiny(), torch.arange(3, 11).view(2, 4)
    vectors = model.get_input_embeddings()(ids)
    assert torch.equal(model(inputs_embeds=vectors).logits, model(input_ids=ids).logits)
    with pytest.raises(ModelError, match="exactly one of input_ids and inputs_embeds"):
        model()
    with pytest.raises(ModelError, match="exactly one"):
        model(input_ids=ids, inputs_embeds=vectors)


def test_saved_and_loaded_logits_are_identical(tiny: Tiny, tmp_path: Path) -> None:
    model, ids = tiny(), torch.randint(3, 30, (4, 7))
    model.save_pretrained(tmp_path)
    for loader in (type(model), AutoModelForSequenceClassification):
        loaded = loader.from_pretrained(tmp_path).eval()
        assert type(loaded) is type(model)
        assert torch.equal(loaded(input_ids=ids).logits, model(input_ids=ids).logits)


def test_pipeline_takes_texts_of_any_length(tiny: Tiny, tmp_path: Path) -> None:
    tokenizer = train_tokenizer(["good film", "bad film"], min_frequency=1)
    tiny(vocab_size=len(tokenizer)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    classify = pipeline("text-classification", model=str(tmp_path))
    together = classify(["good film", "", "bad bad bad bad film"], batch_size=3)
    alone = [classify(text)[0] for text in ("good film", "", "bad bad bad bad film")]
    for first, second in zip(together, alone, strict=True):
        assert first["label"] == second["label"]
        assert first["score"] == pytest.approx(second["score"])


def test_the_loaded_tokenizer_is_the_trained_one(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(["Good film!", "bad film"], min_frequency=1)
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded("good bad!")["input_ids"] == tokenizer("good bad!")["input_ids"]
    assert loaded.pad_token_id == 0


class TestVectors:
    @pytest.mark.parametrize("given", [False, True])
    def test_static_ones_stay_bit_identical_in_training_and_tuned_ones_do_not(self, tiny: Tiny, given: bool) -> None:
        for static in (True, False):
            model = tiny(static_embeddings=static).train()
            if given:
                model.set_word_vectors({number: np.full(6, 0.1 * number) for number in range(3, 30)})
            before = {name: parameter.clone() for name, parameter in model.named_parameters()}
            optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1)
            model(input_ids=torch.randint(3, 30, (4, 7)), labels=torch.tensor([0, 1, 2, 0])).loss.backward()
            optimizer.step()
            same = {name for name, parameter in model.named_parameters() if torch.equal(parameter, before[name])}
            assert same == ({"embeddings.weight"} if static else set())

    def test_static_stays_static_after_loading(self, tiny: Tiny, tmp_path: Path) -> None:
        model = tiny(static_embeddings=True)
        model.save_pretrained(tmp_path)
        loaded = type(model).from_pretrained(tmp_path)
        frozen = {name for name, parameter in loaded.named_parameters() if not parameter.requires_grad}
        assert frozen == {"embeddings.weight"}

    def test_the_padding_vector_is_zero_and_the_others_have_word2vec_s_variance(self, tiny: Tiny) -> None:
        weight = tiny(vocab_size=2000, embedding_dim=50).embeddings.weight
        assert weight[0].abs().sum() == 0
        assert weight.abs().max() <= 0.25
        assert weight[1:].var().item() == pytest.approx(0.5**2 / 12, rel=0.05)
        narrow = tiny(vocab_size=2000, embedding_dim=50, initializer_range=0.1).embeddings.weight
        assert 0.099 < narrow.abs().max() <= 0.1

    def test_given_ones_replace_random_ones(self, tiny: Tiny) -> None:
        model = tiny()
        before = model.embeddings.weight.clone()
        model.set_word_vectors({4: np.arange(6, dtype=np.float32)})
        assert model.embeddings.weight[4].tolist() == list(range(6))
        unchanged = [i for i in range(30) if i != 4]
        assert torch.equal(model.embeddings.weight[unchanged], before[unchanged])

    def test_those_of_another_size_are_refused(self, tiny: Tiny) -> None:
        with pytest.raises(ModelError, match=r"shape \(7,\) but model\.words\.embedding_dim is 6"):
            tiny().set_word_vectors({4: np.zeros(7)})

    def test_they_are_replaced_by_an_embedding_only(self, tiny: Tiny) -> None:
        model = tiny()
        with pytest.raises(ModelError, match=rf"of {type(model).__name__} must be an nn.Embedding, not Linear"):
            model.set_input_embeddings(torch.nn.Linear(2, 2))
