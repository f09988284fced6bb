"""MixupCallback refuses what would silently be wrong."""

from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import Trainer

from tests.integrations.conftest import MakeTrainer, MixupTrainer, tiny_bert, training_logs
from tests.support.counting import hooks
from textmix import LossConfig, MixConfig, MixupCallback, attach
from textmix.errors import ConfigError, ModelError, TextmixError


def refused(trainer: Trainer, message: str, error: type[TextmixError] = ConfigError) -> None:
    before = hooks(trainer.model)
    with pytest.raises(error, match=message) as caught:
        trainer.train()
    assert "\n" not in str(caught.value)
    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, MixupCallback):
            callback.detach()
    assert hooks(trainer.model) == before


def test_label_smoothing_and_losses_of_the_trainer(make_trainer: MakeTrainer) -> None:
    smoothed = make_trainer(MixupCallback(), label_smoothing_factor=0.1)
    refused(smoothed, r"label_smoothing_factor removes the labels.*LossConfig\(label_smoothing=0.1\)")
    options = {"compute_loss_func": lambda outputs, labels, **_: outputs.logits.sum()}
    refused(make_trainer(MixupCallback(), **options), r"a training batch has no labels.*compute_loss_func")
    early = make_trainer(MixupCallback(), trainer_class=MixupTrainer, **options)
    refused(early, r"compute_loss_func removes the labels.*loss=LossConfig")
    assert early.state.global_step == 0
    make_trainer(trainer_class=MixupTrainer, max_steps=1, **options).train()  # without a mixer it is the Trainer's own


def test_smoothing_by_the_loss_config_works(make_trainer: MakeTrainer) -> None:
    losses = []
    for smoothing in (0.0, 0.5):
        model = tiny_bert(initializer_range=2.0)  # sure of itself
        callback = MixupCallback(strategy="none", loss=LossConfig(label_smoothing=smoothing))
        trainer = make_trainer(callback, model=model, max_steps=1)
        trainer.train()
        losses.append(training_logs(trainer)[0]["loss"])
    assert abs(losses[0] - losses[1]) > 1e-3


def test_batches_without_labels(make_trainer: MakeTrainer, news: Dataset) -> None:
    renamed = news.rename_column("label", "category")  # dropped: the model's forward does not know it
    refused(make_trainer(MixupCallback(), train_dataset=renamed), "a training batch has no labels.*label_names")


def test_data_parallel(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(MixupCallback())
    trainer.args._n_gpu = 2
    refused(trainer, r"DataParallel copies the model.*torchrun.*CUDA_VISIBLE_DEVICES")


def test_two_mixers(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(MixupCallback())
    mixer = attach(trainer.model, MixConfig(strategy="word"))
    refused(trainer, r"already has a mixer attached; call model\.mixer\.detach\(\)", ModelError)
    mixer.detach()
    trainer.train()
    refused(make_trainer(MixupCallback(), MixupCallback(strategy="word")), "already has a mixer attached", ModelError)


class TestLossesOfSubclasses:
    class Hard(Trainer):
        """Weighs the loss of the labels that it was given, whatever was mixed."""

        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **kwargs: Any) -> Any:
            outputs = model(**inputs)
            return torch.nn.functional.cross_entropy(outputs.logits, inputs["labels"])

    class Popping(Trainer):
        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **kwargs: Any) -> Any:
            labels = inputs.pop("labels")
            return torch.nn.functional.cross_entropy(model(**inputs).logits, labels)

    class Adding(Trainer):
        """Adds a penalty to the model's loss."""

        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **kwargs: Any) -> Any:
            return super().compute_loss(model, inputs, **kwargs) + model.classifier.weight.square().sum()

    def test_hard_labels_are_noticed(self, make_trainer: MakeTrainer) -> None:
        trainer = make_trainer(MixupCallback(), trainer_class=self.Hard)
        refused(trainer, r"does not train on the loss that BertFor\w+ returns.*compute_loss must use it.*LossConfig")

    def test_taken_labels_are_noticed(self, make_trainer: MakeTrainer) -> None:
        refused(make_trainer(MixupCallback(), trainer_class=self.Popping), "a training batch has no labels")

    def test_more_than_the_loss_of_the_model_is_allowed(self, make_trainer: MakeTrainer) -> None:
        trainer = make_trainer(MixupCallback(), trainer_class=self.Adding)
        trainer.train()
        assert training_logs(trainer)[-1]["mix_share"] == 1


class TestLabels:
    def test_rows_of_numbers_want_a_declared_type(self, make_trainer: MakeTrainer, news: Dataset) -> None:
        rows = news.map(lambda row: {"labels": np.eye(5)[row["label"]].tolist()}, remove_columns=["label"])
        trainer = make_trainer(MixupCallback(), train_dataset=rows)
        refused(trainer, "may be soft or multi-label: set config.problem_type")
        assert trainer.model.config.problem_type is None

    def test_what_cannot_be_counted(self, make_trainer: MakeTrainer, news: Dataset) -> None:
        how = r"count the training rows of each class yourself and give class_counts=\[\.\.\.\]"
        balanced = LossConfig(class_weights="balanced")
        stream = make_trainer(MixupCallback(loss=balanced), train_dataset=news.to_iterable_dataset())
        refused(stream, f"the training data is a stream, or has no column labels, label, label_ids; {how}")
        numbers = news.map(lambda row: {"labels": float(row["label"])}, remove_columns=["label"])
        floats = make_trainer(MixupCallback(targets="remix"), train_dataset=numbers)
        refused(floats, f"need integer classes, not labels of type float64; {how}")
        many = make_trainer(MixupCallback(loss=balanced), model=tiny_bert(problem_type="multi_label_classification"))
        refused(many, f"not labels multi_label_classification.*; {how}")
        few = make_trainer(MixupCallback(targets="remix"), model=tiny_bert(num_labels=3))
        refused(few, "the training data has the label 4, but the model has 3 classes")

    def test_given_counts_are_enough(self, make_trainer: MakeTrainer, news: Dataset) -> None:
        callback = MixupCallback(targets="remix", class_counts=np.arange(1, 6).tolist())
        make_trainer(callback, train_dataset=news.to_iterable_dataset(), max_steps=1).train()


def test_no_tokenizer(make_trainer: MakeTrainer, news: Dataset) -> None:
    rows = news.map(lambda row: {name: row[name][:8] for name in ("input_ids", "attention_mask", "token_type_ids")})
    rows = rows.remove_columns("text")
    options: dict[str, Any] = {"train_dataset": rows, "processing_class": None, "max_steps": 1}
    refused(make_trainer(MixupCallback(strategy="cutmix"), **options), "processing_class=tokenizer.*special_ids")
    make_trainer(MixupCallback(strategy="cutmix", special_ids=[0, 101, 102]), **options).train()


def test_arguments() -> None:
    with pytest.raises(ConfigError, match="give a MixConfig or its fields by name, as in strategy='word', not 'word'"):
        MixupCallback("word")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="give a MixConfig or its options, not both: alpha"):
        MixupCallback(MixConfig(), alpha=0.2)
    with pytest.raises(ConfigError, match="unknown option of mixing 'alhpa'; did you mean 'alpha'"):
        MixupCallback(alhpa=0.2)
