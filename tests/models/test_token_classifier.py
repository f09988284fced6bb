from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertForTokenClassification,
    BertModel,
)

from tests.support.batches import Batch
from tests.support.families import fresh
from tests.support.family_configs import bert_config
from tests.support.strategies import mix
from textmix import MixConfig, MixupForSequenceClassification, MixupForTokenClassification, TextCNN, TextCNNConfig
from textmix.errors import ModelError
from textmix.hooks.attach import attach
from textmix.mixing.registry import STRATEGIES

IGNORED = -100


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    BertModel(bert_config()).save_pretrained(tmp_path / "bert")
    return tmp_path / "bert"


@pytest.fixture
def tagged(ragged: Batch) -> Batch:
    """Rows with a label for each token, but for padding and every fourth token."""
    ids, mask = ragged["input_ids"], ragged["attention_mask"].bool()
    labels = torch.where(mask & (ids % 4 != 0), ids % 3, IGNORED)
    return {**ragged, "labels": labels}


def test_saved_and_loaded_logits_are_identical(checkpoint: Path, ragged: Batch, tmp_path: Path) -> None:
    config = MixConfig(strategy="word", alpha=0.7)
    model = MixupForTokenClassification.from_pretrained(checkpoint, num_labels=4, mix=config).eval()
    inputs = {name: ragged[name] for name in ("input_ids", "attention_mask")}
    assert model(**inputs).logits.shape == (5, 9, 4)
    assert not any("pooler" in name or "pooling" in name for name in model.state_dict())
    model.save_pretrained(tmp_path / "saved")
    for loader in (MixupForTokenClassification, AutoModelForTokenClassification):
        loaded = loader.from_pretrained(tmp_path / "saved").eval()
        assert type(loaded) is MixupForTokenClassification
        assert loaded.mixer.config == config
        assert torch.equal(loaded(**inputs).logits, model(**inputs).logits)


def test_a_native_head_is_the_architecture_s_own(checkpoint: Path) -> None:
    config = MixConfig(strategy="word")
    model = MixupForTokenClassification.from_pretrained(checkpoint, num_labels=3, head="native", mix=config)
    assert type(model) is BertForTokenClassification
    assert model.mixer.config == config


def test_a_word_model_is_refused(tmp_path: Path) -> None:
    TextCNN(TextCNNConfig(vocab_size=20, num_filters=4)).save_pretrained(tmp_path)
    for loader in (MixupForTokenClassification, MixupForSequenceClassification):
        with pytest.raises(ModelError, match=f"saved as a TextCNN; it cannot be loaded as a {loader.__name__}"):
            loader.from_pretrained(tmp_path)


def test_a_classifier_of_another_kind_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    MixupForTokenClassification.from_pretrained(checkpoint).save_pretrained(tmp_path / "tokens")
    MixupForSequenceClassification.from_pretrained(checkpoint).save_pretrained(tmp_path / "texts")
    message = "saved as a MixupForTokenClassification; it cannot be loaded as a MixupForSequenceClassification"
    with pytest.raises(ModelError, match=message):
        AutoModelForSequenceClassification.from_pretrained(tmp_path / "tokens")
    with pytest.raises(ModelError, match="it cannot be loaded as a MixupForTokenClassification"):
        MixupForTokenClassification.from_pretrained(tmp_path / "texts")


@pytest.mark.parametrize("name", ["BERT, linear head", "BERT"])
def test_the_unmixed_loss_is_the_mean_over_labelled_tokens(name: str, tagged: Batch) -> None:
    model = fresh(name, "tokens").eval()
    output = model(**tagged)
    expected = torch.nn.functional.cross_entropy(output.logits.flatten(0, 1), tagged["labels"].flatten())
    assert output.loss.item() == pytest.approx(expected.item(), abs=1e-12)
    with attach(model.train(), strategy="none"):
        assert model(**tagged).loss.item() == pytest.approx(expected.item(), abs=1e-12)


def token_loss(logits: torch.Tensor, plan: object, labels: list[list[int]]) -> float:
    """Score each token against every label that it is blended from, one at a time."""
    log_p = logits.detach().log_softmax(-1).tolist()
    total = count = 0.0
    for i, rows in enumerate(plan.rows.tolist()):
        for t in range(logits.shape[1]):
            sources = [(labels[row][t], weight) for row, weight in zip(rows, plan.weights[i].tolist(), strict=True)]
            if plan.span is not None:
                taken = plan.span.replaced[i, t].item() * (1 - plan.span.keep)
                sources = [(labels[i][t], 1 - taken), (labels[rows[1]][plan.span.source[i, t]], taken)]
            for label, weight in sources:
                if label != IGNORED:
                    total -= weight * log_p[i][t][label]
                    count += weight
    return total / count


@pytest.mark.parametrize(
    ("strategy", "options"),
    [(name, {}) for name in STRATEGIES if name != "none"]
    + [("cutmix", {"cutmix": {"level": "embeddings", "keep": 0.3}})],
)
@pytest.mark.parametrize("name", ["BERT, linear head", "BERT"])
def test_every_strategy_scores_tokens_as_a_loop_does(name: str, strategy: str, options: dict, tagged: Batch) -> None:
    model = fresh(name, "tokens")
    with attach(model, mix(strategy, per_sample=strategy != "batch", **options), seed=3) as mixer:
        for _ in range(4):
            output = model(**tagged)
            output.loss.backward()
            assert mixer.plan is not None
            expected = token_loss(output.logits, mixer.plan, tagged["labels"].tolist())
            assert output.loss.item() == pytest.approx(expected, abs=1e-6)


def test_clean_rows_beside_mixed_ones_are_a_mean_of_their_own(tagged: Batch) -> None:
    model = fresh("BERT, linear head", "tokens")
    labels = tagged["labels"]
    with attach(model, strategy="word", regmix=0.5, lam="fixed", lam_value=0.7, seed=1) as mixer:
        output = model(**tagged)
        partner = mixer.plan.rows[5:, 1] - 5
    plain = model(**{name: value for name, value in tagged.items() if name != "labels"}).logits
    real = tagged["attention_mask"].bool()
    assert torch.allclose(output.logits[real], plain[real])
    with attach(model, strategy="word", lam="fixed", lam_value=0.7, seed=1) as mixer:
        mixed = model(**tagged).logits
        assert torch.equal(mixer.plan.partner, partner)

    def summed(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")

    count = (labels != IGNORED).sum()
    clean = summed(plain, labels) / count
    blended = (0.7 * summed(mixed, labels) + 0.3 * summed(mixed, labels[partner])) / count
    assert output.loss.item() == pytest.approx((clean + 0.5 * blended).item(), abs=1e-6)


def test_accuracy_weighs_every_label_of_a_token(tagged: Batch) -> None:
    model, labels = fresh("BERT, linear head", "tokens"), tagged["labels"]
    with attach(model, strategy="sentence", per_sample=True, regmix=None) as mixer:
        predicted = model(**tagged).logits.argmax(-1)
    plan = mixer.plan
    earned = total = 0.0
    for i in range(5):
        for t in range(9):
            for row, weight in zip(plan.rows[i].tolist(), plan.weights[i].tolist(), strict=True):
                if labels[row, t] != IGNORED:
                    total += weight
                    earned += weight * (predicted[i, t] == labels[row, t]).item()
    assert mixer.metrics["accuracy"].item() == pytest.approx(earned / total, abs=1e-6)


def test_the_window_of_the_trainer_divides_the_loss(tagged: Batch) -> None:
    model, count = fresh("BERT, linear head", "tokens"), int((tagged["labels"] != IGNORED).sum())
    with attach(model, strategy="none"):
        mean, part = model(**tagged).loss, model(**tagged, num_items_in_batch=torch.tensor(4 * count)).loss
    assert part.item() == pytest.approx(mean.item() / 4)
