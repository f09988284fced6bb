"""Training goes on from a trained classifier, perhaps with other classes."""

import logging
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import BertForSequenceClassification, PreTrainedModel

from tests.support.family_configs import bert_config
from textmix import (
    MixupEncoderConfig,
    MixupForSequenceClassification,
    MixupForTokenClassification,
    TextCNN,
    TextCNNConfig,
)
from textmix.errors import ModelError
from textmix.models.config import ModelConfig
from textmix.models.continuation import keep_classes
from textmix.models.loading import build_model
from textmix.models.words.tokenizer_training import train_tokenizer
from textmix.tasks.multi_label import LabelSet
from textmix.tasks.single_label import Classes
from textmix.tasks.token_classification import Tags

TEXTS = ["a b c", "b", "c c d"]
OLD = Classes(["x", "y", "z"])


def encoder() -> MixupForSequenceClassification:
    return MixupForSequenceClassification(MixupEncoderConfig(encoder=bert_config(), **OLD.to_config()))


def words() -> TextCNN:
    return TextCNN(TextCNNConfig(vocab_size=60, embedding_dim=8, num_filters=4, **OLD.to_config()))


def stock() -> BertForSequenceClassification:
    config = bert_config()
    config.update(OLD.to_config())
    return BertForSequenceClassification(config)


MAKERS = [encoder, words, stock]


def logits(model: PreTrainedModel) -> torch.Tensor:
    ids = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 0]])
    with torch.no_grad():
        return model.eval()(input_ids=ids, attention_mask=(ids > 0).long()).logits


@pytest.mark.parametrize("make", MAKERS)
def test_classes_keep_their_meaning(make: type, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "textmix")
    torch.manual_seed(0)
    model = make()
    nn.init.normal_(next(module for name, module in model.named_modules() if name == "classifier").bias)
    before = logits(model)
    keep_classes(model, {0: "new", 1: "z", 2: "x", 3: "newer"}, "mine")
    after = logits(model)
    assert after.shape == (2, 4)
    torch.testing.assert_close(after[:, [2, 1]], before[:, [0, 2]])
    assert caplog.messages == ["mine: 2 classes keep their weights; new: new, newer; left out: y"]
    model.config.update(Classes(["new", "z", "x", "newer"]).to_config())
    loss = model(input_ids=torch.tensor([[5, 6]]), labels=torch.tensor([3])).loss
    assert torch.isfinite(loss)


@pytest.mark.parametrize("make", MAKERS)
def test_the_same_classes_keep_every_weight(make: type, caplog: pytest.LogCaptureFixture) -> None:
    model = make()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    keep_classes(model, {0: "x", 1: "y", 2: "z"}, "mine")
    assert not caplog.messages
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


@pytest.mark.parametrize("make", MAKERS)
def test_a_saved_classifier_is_a_model_to_train(make: type, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = make()
    model.save_pretrained(tmp_path)
    train_tokenizer(TEXTS, min_frequency=1).save_pretrained(tmp_path)
    head = "native" if make is stock else "linear"
    loaded = build_model(ModelConfig(name=str(tmp_path), head=head), Classes(["y", "x", "w"]).to_config(), [])
    assert loaded.tokenizer.model_max_length <= 512
    assert loaded.model.training
    torch.testing.assert_close(logits(loaded.model)[:, [1, 0]], logits(model)[:, [0, 1]])


@pytest.mark.parametrize("names", [["a", "b", "c"], ["a", "b"]])
def test_classes_without_names(names: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "textmix")
    torch.manual_seed(0)
    model = BertForSequenceClassification(bert_config())
    model.save_pretrained(tmp_path)
    train_tokenizer(TEXTS, min_frequency=1).save_pretrained(tmp_path)
    loaded = build_model(ModelConfig(name=str(tmp_path), head="native"), Classes(names).to_config(), [])
    if len(names) == 3:
        torch.testing.assert_close(logits(loaded.model), logits(model))
        assert "has no names for its classes: they are taken for a, b, c, in this order" in caplog.text
    else:
        assert logits(loaded.model).shape == (2, 2)
        assert torch.equal(loaded.model.bert.pooler.dense.weight, model.bert.pooler.dense.weight)
        assert "0 classes keep their weights; new: a, b; left out: LABEL_0, LABEL_1, LABEL_2" in caplog.text


def test_the_encoder_alone_is_taken_of_a_stock_classifier_with_a_linear_head(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "textmix")
    stock().save_pretrained(tmp_path)
    train_tokenizer(TEXTS, min_frequency=1).save_pretrained(tmp_path)
    loaded = build_model(ModelConfig(name=str(tmp_path)), Classes(["p", "q"]).to_config(), [])
    assert isinstance(loaded.model, MixupForSequenceClassification)
    assert "its encoder alone is used; --model.head native goes on from its classifier" in caplog.text


@pytest.mark.parametrize("make", MAKERS)
def test_dropout_is_that_of_the_options(make: type, tmp_path: Path) -> None:
    make().save_pretrained(tmp_path)
    train_tokenizer(TEXTS, min_frequency=1).save_pretrained(tmp_path)
    options = {"dropout": 0.35} if make is not stock else {"encoder_dropout": 0.25, "head": "native"}
    if make is encoder:
        options["encoder_dropout"] = 0.25
    model = build_model(ModelConfig(name=str(tmp_path), **options), OLD.to_config(), []).model
    rates = {module.p for module in model.modules() if isinstance(module, nn.Dropout)}
    assert rates == {rate for rate in options.values() if rate != "native"}


def test_what_cannot_go_on_is_told(tmp_path: Path) -> None:
    encoder().save_pretrained(tmp_path / "classes")
    MixupForTokenClassification(MixupEncoderConfig(encoder=bert_config(), num_labels=3)).save_pretrained(
        tmp_path / "tags"
    )
    for name in ("classes", "tags"):
        train_tokenizer(TEXTS, min_frequency=1).save_pretrained(tmp_path / name)
    for name, space, message in (
        ("classes", Classes(["p", "q"]), "was trained for x, y, z, and none of these is among p, q"),
        (
            "classes",
            LabelSet(["x", "y"]),
            "was trained for single_label_classification; it cannot go on with multi_label",
        ),
        (
            "classes",
            Tags(["O", "B-A", "I-A"]),
            "was trained for single_label_classification; it cannot go on with token_c",
        ),
        ("tags", Classes(["x", "y"]), "was trained for token_classification; it cannot go on with single_label"),
    ):
        with pytest.raises(ModelError, match=message):
            build_model(ModelConfig(name=str(tmp_path / name)), space.to_config(), [], space.of_tokens)
