"""Temperatures in the last linear map."""

import numpy as np
import pytest
import torch
from transformers import BertForSequenceClassification, PreTrainedModel, XLNetConfig, XLNetForSequenceClassification

from tests.support.family_configs import bert_config
from textmix import MixupEncoderConfig, MixupForSequenceClassification, TextCNN, TextCNNConfig, TextRNN, TextRNNConfig
from textmix.errors import ModelError
from textmix.models.calibration import fold_temperatures
from textmix.tasks.multi_label import LabelSet
from textmix.tasks.single_label import Classes


def stock() -> PreTrainedModel:
    config = bert_config()
    config.num_labels = 3
    return BertForSequenceClassification(config)


MODELS = {
    "encoder": lambda: MixupForSequenceClassification(MixupEncoderConfig(encoder=bert_config(), num_labels=3)),
    "textcnn": lambda: TextCNN(TextCNNConfig(vocab_size=60, embedding_dim=8, num_filters=4, num_labels=3)),
    "textrnn": lambda: TextRNN(TextRNNConfig(vocab_size=60, embedding_dim=8, lstm_units=4, num_labels=3)),
    "stock": stock,
    "XLNet": lambda: XLNetForSequenceClassification(
        XLNetConfig(vocab_size=60, d_model=8, n_layer=1, n_head=2, d_inner=8, num_labels=3)
    ),
}


def logits(model: PreTrainedModel) -> torch.Tensor:
    ids = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 12]])
    with torch.no_grad():
        return model.eval()(input_ids=ids, attention_mask=torch.ones_like(ids)).logits


@pytest.mark.parametrize("name", list(MODELS))
def test_logits_are_divided(name: str) -> None:
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    before = logits(model)
    fold_temperatures(model, [2.0, 0.5, 4.0])
    torch.testing.assert_close(logits(model), before / torch.tensor([2.0, 0.5, 4.0]))
    assert model.config.temperatures == [2.0, 0.5, 4.0]


def test_logits_that_are_not_those_of_the_last_map_are_refused() -> None:
    class Doubled(BertForSequenceClassification):
        def forward(self, *args: object, **kwargs: object) -> object:
            output = super().forward(*args, **kwargs)
            output.logits = output.logits * 2
            return output

    model = Doubled(bert_config())
    before = model.classifier.weight.clone()
    with pytest.raises(ModelError, match="the logits of Doubled are not the outputs of its last linear map"):
        fold_temperatures(model.eval(), [2.0, 2.0])
    assert torch.equal(model.classifier.weight, before)


@pytest.mark.parametrize("space", [Classes(["a", "b", "c"]), LabelSet(["a", "b", "c"])])
def test_fitted_temperatures_calibrate_and_can_be_undone(space: Classes | LabelSet) -> None:
    generator = np.random.default_rng(0)
    scores = torch.tensor(generator.normal(size=(4000, 3)))
    probabilities = space.outputs(scores)
    if isinstance(space, Classes):
        targets = np.array([generator.choice(3, p=row) for row in probabilities])
        factors = [3.0, 3.0, 3.0]
    else:
        targets = (generator.random(probabilities.shape) < probabilities).astype(np.float32)
        factors = [3.0, 0.5, 1.0]
    overconfident = space.outputs(scores * torch.tensor(factors))
    found = space.temperatures(targets, overconfident)
    assert found == pytest.approx(factors, rel=0.15)
    scaled = space.scaled(overconfident, found)
    assert space.scores(targets, scaled)["nll"] < space.scores(targets, overconfident)["nll"]
    np.testing.assert_allclose(space.scaled(scaled, [1 / one for one in found]), overconfident, atol=1e-9)


def test_soft_labels_have_no_temperature() -> None:
    shares = np.array([[0.5, 0.5], [0.1, 0.9]])
    assert Classes(["a", "b"]).temperatures(shares, shares) == []
