from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from textmix import TextCNN, TextCNNConfig
from textmix.errors import ModelError
from textmix.models.vocabulary import train_tokenizer


def tiny(**options: object) -> TextCNN:
    torch.manual_seed(0)
    sizes = {"vocab_size": 30, "embedding_dim": 6, "num_filters": 5, "kernel_sizes": [3, 4, 5], "num_labels": 3}
    return TextCNN(TextCNNConfig(**{**sizes, **options})).eval()


def test_every_position_reaches_the_max_pool() -> None:
    """Changing any one token, the last ones included, changes the logits."""
    model, ids = tiny(), torch.arange(3, 12)[None]
    logits = model(input_ids=ids).logits
    for position in range(ids.shape[1]):
        changed = ids.clone()
        changed[0, position] = 25
        assert not torch.equal(model(input_ids=changed).logits, logits), position


def test_every_position_is_a_centre_of_every_kernel() -> None:
    """With one feature that fires on a single token, the pooled feature is the same wherever the token stands."""
    model = tiny(kernel_sizes=[3], num_filters=1, embedding_dim=2)
    with torch.no_grad():
        model.embeddings.weight.zero_()
        model.embeddings.weight[9] = torch.tensor([1.0, 0.0])
        model.blocks[0].convolutions[0].weight.zero_()
        model.blocks[0].convolutions[0].weight[0, 0, 1] = 1
        model.blocks[0].convolutions[0].bias.zero_()
    for position in range(6):
        ids = torch.full((1, 6), 4)
        ids[0, position] = 9
        features = model.blocks[0](model.embeddings(ids), torch.ones(1, 6))
        assert features.flatten().tolist() == [float(t == position) for t in range(6)]


@pytest.mark.parametrize("length", [1, 2, 3, 7])
def test_padding_never_reaches_the_max_pool(length: int) -> None:
    model = tiny().double()
    with torch.no_grad():
        for convolution in model.blocks[0].convolutions:
            convolution.bias.fill_(5.0)  # the features of padding alone would be the largest
    ids = torch.arange(3, 3 + length)[None]
    alone = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    for extra in (1, 4, 9):
        wide = torch.nn.functional.pad(ids, (0, extra), value=17)  # not even the padding id
        mask = torch.nn.functional.pad(torch.ones_like(ids), (0, extra))
        torch.testing.assert_close(model(input_ids=wide, attention_mask=mask).logits, alone)


def test_an_empty_text_gets_the_prior() -> None:
    model = tiny()
    empty = torch.zeros(2, 0, dtype=torch.long)
    logits = model(input_ids=empty, attention_mask=empty).logits
    torch.testing.assert_close(logits, model.classifier.bias.expand(2, 3))


def test_saved_and_loaded_logits_are_identical(tmp_path: Path) -> None:
    model, ids = tiny(), torch.randint(3, 30, (4, 7))
    model.save_pretrained(tmp_path)
    for loader in (TextCNN, AutoModelForSequenceClassification):
        loaded = loader.from_pretrained(tmp_path).eval()
        assert type(loaded) is TextCNN
        assert torch.equal(loaded(input_ids=ids).logits, model(input_ids=ids).logits)


def test_pipeline_takes_texts_of_any_length(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(["good film", "bad film"], min_frequency=1)
    tiny(vocab_size=len(tokenizer)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    classify = pipeline("text-classification", model=str(tmp_path))
    together = classify(["good film", "", "bad bad bad bad film"], batch_size=3)
    alone = [classify(text)[0] for text in ("good film", "", "bad bad bad bad film")]
    for first, second in zip(together, alone, strict=True):
        assert first["label"] == second["label"]
        assert first["score"] == pytest.approx(second["score"])


def test_static_vectors_are_not_trained_and_tuned_ones_are() -> None:
    for static in (True, False):
        model = tiny(static_embeddings=static).train()
        model(input_ids=torch.randint(3, 30, (4, 7)), labels=torch.tensor([0, 1, 2, 0])).loss.backward()
        assert (model.embeddings.weight.grad is None) is static


def test_static_stays_static_after_loading(tmp_path: Path) -> None:
    tiny(static_embeddings=True).save_pretrained(tmp_path)
    assert not TextCNN.from_pretrained(tmp_path).embeddings.weight.requires_grad


def test_the_padding_vector_is_zero_and_the_others_have_word2vec_s_variance() -> None:
    weight = tiny(vocab_size=2000, embedding_dim=50).embeddings.weight
    assert weight[0].abs().sum() == 0
    assert weight.abs().max() <= 0.25
    assert weight[1:].var().item() == pytest.approx(0.5**2 / 12, rel=0.05)


def test_given_vectors_replace_random_ones() -> None:
    model = tiny()
    before = model.embeddings.weight.clone()
    model.set_word_vectors({4: np.arange(6, dtype=np.float32)})
    assert model.embeddings.weight[4].tolist() == list(range(6))
    unchanged = [i for i in range(30) if i != 4]
    assert torch.equal(model.embeddings.weight[unchanged], before[unchanged])


def test_vectors_of_another_width_are_refused() -> None:
    with pytest.raises(ModelError, match=r"shape \(7,\) but model\.words\.embedding_dim is 6"):
        tiny().set_word_vectors({4: np.zeros(7)})


def test_ids_and_embeds_exclude_each_other() -> None:
    model = tiny()
    with pytest.raises(ModelError, match="exactly one of input_ids and inputs_embeds"):
        model()
    with pytest.raises(ModelError, match="exactly one"):
        model(input_ids=torch.zeros(1, 1, dtype=torch.long), inputs_embeds=torch.zeros(1, 1, 6))


def test_the_loaded_tokenizer_is_the_trained_one(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(["Good film!", "bad film"], min_frequency=1)
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded("good bad!")["input_ids"] == tokenizer("good bad!")["input_ids"]
    assert loaded.pad_token_id == 0
