"""MixupCallback with every kind of labels, and in windows of accumulated batches."""

import inspect
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import (
    BertForSequenceClassification,
    BertForTokenClassification,
    DataCollatorForTokenClassification,
    PreTrainedTokenizerBase,
    Trainer,
)

from tests.integrations.conftest import MakeTrainer, Spy, tiny_bert, train, training_logs, weights
from textmix import LossConfig, MixupCallback


def token_bert(**options: Any) -> BertForTokenClassification:
    config = tiny_bert(num_labels=3, **options).config
    torch.manual_seed(0)
    return BertForTokenClassification(config)


def with_token_labels(news: Dataset, tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """Label each token by its id, and the special ones not at all."""

    def label(row: dict[str, Any]) -> dict[str, Any]:
        special = tokenizer.get_special_tokens_mask(row["input_ids"], already_has_special_tokens=True)
        pairs = zip(row["input_ids"], special, strict=True)
        return {"labels": [-100 if mask else token % 3 for token, mask in pairs]}

    return news.map(label, remove_columns=["label"])


class TestAccumulation:
    @staticmethod
    def assert_alike(
        make_trainer: MakeTrainer, make_model: Any, loss: LossConfig | None = None, **options: Any
    ) -> None:
        common = {"optim": "sgd", "learning_rate": 0.1, "max_steps": 3, **options}
        small, large = (
            train(
                make_trainer,
                MixupCallback(strategy="none", loss=loss),
                model=make_model(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0),
                per_device_train_batch_size=size,
                gradient_accumulation_steps=windows,
                **common,
            )
            for size, windows in ((8, 4), (32, 1))
        )
        for one, two in zip(training_logs(small), training_logs(large), strict=True):
            assert one["loss"] == pytest.approx(two["loss"], abs=1e-6)
            assert one["grad_norm"] == pytest.approx(two["grad_norm"], rel=1e-4)
            # Batches weigh by their rows, which hold different numbers of tokens.
            assert one["mix_accuracy"] == pytest.approx(two["mix_accuracy"], abs=1e-2 if options else 1e-6)
        for one, two in zip(weights(small).values(), weights(large).values(), strict=True):
            torch.testing.assert_close(one, two, atol=1e-6, rtol=0)

    @pytest.mark.parametrize("counted", [True, False])  # by the Trainer, for models that take num_items_in_batch
    @pytest.mark.parametrize("loss", [None, LossConfig(class_weights="balanced", label_smoothing=0.1)])
    def test_four_times_eight_trains_like_thirty_two(
        self, make_trainer: MakeTrainer, loss: LossConfig | None, counted: bool
    ) -> None:
        def make(**options: Any) -> BertForSequenceClassification:
            model = tiny_bert(**options)
            model.accepts_loss_kwargs = counted
            return model

        self.assert_alike(make_trainer, make, loss)

    def test_tokens_are_counted_over_the_whole_window(
        self, make_trainer: MakeTrainer, news: Dataset, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        if "kwargs" not in inspect.signature(BertForTokenClassification.forward).parameters:
            pytest.skip("the Trainer of this version of transformers does not count the labels of a window for it")

        def make(**options: Any) -> BertForTokenClassification:
            return token_bert(**options)

        collator = DataCollatorForTokenClassification(tokenizer)
        self.assert_alike(make_trainer, make, train_dataset=with_token_labels(news, tokenizer), data_collator=collator)

    def test_each_micro_batch_is_mixed_on_its_own(self, make_trainer: MakeTrainer) -> None:
        callback = MixupCallback(strategy="word")
        spy = Spy(callback)
        make_trainer(callback, spy, gradient_accumulation_steps=4, per_device_train_batch_size=8, max_steps=2).train()
        lams = [plan.lam[0].item() for plan in spy.plans]
        assert len(set(lams)) == len(lams) == 8
        assert all(plan.rows.shape == (8, 2) for plan in spy.plans)


class TestKindsOfLabels:
    def train(self, make_trainer: MakeTrainer, **options: Any) -> Trainer:
        trainer = make_trainer(MixupCallback(strategy="manifold"), gradient_accumulation_steps=2, **options)
        trainer.train()
        losses = [line["loss"] for line in training_logs(trainer)]
        assert all(np.isfinite(losses))
        return trainer

    def test_tokens(self, make_trainer: MakeTrainer, news: Dataset, tokenizer: PreTrainedTokenizerBase) -> None:
        trainer = self.train(
            make_trainer,
            model=token_bert(),
            train_dataset=with_token_labels(news, tokenizer),
            data_collator=DataCollatorForTokenClassification(tokenizer),
            max_steps=30,
        )
        losses = [line["loss"] for line in training_logs(trainer)]
        assert losses[0] == pytest.approx(np.log(3), abs=0.2)  # an average over tokens, not their sum
        assert losses[-1] < losses[0]
        assert "mix_accuracy" in training_logs(trainer)[0]

    @pytest.mark.parametrize("kind", ["single_label_classification", "multi_label_classification"])
    def test_rows_of_numbers(self, make_trainer: MakeTrainer, news: Dataset, kind: str) -> None:
        rows = news.map(lambda row: {"labels": np.eye(5)[row["label"]].tolist()}, remove_columns=["label"])
        trainer = self.train(make_trainer, model=tiny_bert(problem_type=kind), train_dataset=rows)
        start = {"single_label_classification": np.log(5), "multi_label_classification": np.log(2)}[kind]
        # The Trainer counts B times C labels: divided by these, the loss would be a fifth of it.
        assert training_logs(trainer)[0]["loss"] == pytest.approx(start, abs=0.2)
        assert trainer.model.config.problem_type == kind

    def test_numbers(self, make_trainer: MakeTrainer, news: Dataset) -> None:
        rows = news.map(lambda row: {"labels": 2.0 + row["label"] % 2}, remove_columns=["label"])
        options = {"train_dataset": rows, "max_steps": 20, "learning_rate": 3e-2}
        trainer = self.train(make_trainer, model=tiny_bert(num_labels=1), **options)
        losses = [line["loss"] for line in training_logs(trainer)]
        assert losses[0] == pytest.approx(np.mean([4, 9]), abs=1.5)
        assert losses[-1] < 1
        assert trainer.model.config.problem_type is None  # nothing is guessed into it
