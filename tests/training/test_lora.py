"""Adapters under the trainer: a resumed run, the average of the weights, and what is saved."""

import signal
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from transformers import BertForSequenceClassification, PreTrainedModel

from tests.support.family_configs import bert_config
from tests.support.trainer import NAMES, TOKENIZER, history, on_loop, same, send, stop_at, trainer, weights
from textmix import MixupEncoderConfig, MixupForSequenceClassification
from textmix.errors import TrainingInterrupted
from textmix.models.config import LoraOptions
from textmix.models.lora import add_adapters, has_adapters
from textmix.tasks.single_label import Classes
from textmix.training.loop import TrainingLoop
from textmix.training.trainer import MixupTrainer


def encoder() -> MixupForSequenceClassification:
    config = bert_config()
    config.vocab_size = len(TOKENIZER)
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.1
    torch.manual_seed(0)
    classes = Classes(NAMES).to_config()
    return MixupForSequenceClassification(MixupEncoderConfig(encoder=config, pooling="mean", **classes))


def adapted() -> PreTrainedModel:
    model = encoder()
    add_adapters(model, LoraOptions(rank=4, dropout=0.1), "base")
    return model


def lora_trainer(directory: Path, model: PreTrainedModel | None = None, **options: Any) -> MixupTrainer:
    return trainer(directory, model=model or adapted(), **{"learning_rate": 2e-2, "epochs": 2, **options})


def logits(model: torch.nn.Module) -> torch.Tensor:
    ids = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 12]])
    with torch.no_grad():
        return model.eval()(input_ids=ids, attention_mask=torch.ones_like(ids)).logits


@pytest.mark.parametrize("options", [{}, {"ema_decay": 0.8, "cpu_speedups": False}], ids=["weights", "average"])
def test_a_resumed_run_repeats_the_uninterrupted_one(tmp_path: Path, options: dict[str, Any]) -> None:
    lora_trainer(tmp_path / "whole", **options).train()
    first = lora_trainer(tmp_path / "parts", **options)
    stop_at(first, 11, send(signal.SIGINT))
    with pytest.raises(TrainingInterrupted):
        first.train()
    torch.rand(5)
    lora_trainer(tmp_path / "parts", **options).train(resume=True)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    assert history(tmp_path / "whole") == history(tmp_path / "parts")
    adapters = [peft.utils.load_peft_weights(str(tmp_path / name / "adapter"), "cpu") for name in ("whole", "parts")]
    assert same(*adapters)


@pytest.mark.parametrize("ema_decay", [None, 0.8])
def test_the_best_epoch_is_saved_merged_and_apart(tmp_path: Path, ema_decay: float | None) -> None:
    instance, best = lora_trainer(tmp_path, epochs=4, ema_decay=ema_decay), []

    def change(loop: TrainingLoop) -> None:
        finish = loop._finish_epoch

        def keep_the_best(bar: object) -> None:
            finish(bar)
            if loop.progress.best_step == loop.progress.step:
                best.append(logits(loop.bare_model if loop.average is None else loop.average.module))

        loop._finish_epoch = keep_the_best

    on_loop(instance, change)
    progress = instance.train()
    validations = [line["validation"]["macro_f1"] for line in history(tmp_path) if "validation" in line]
    assert max(validations) > 0.5  # of a random encoder
    assert progress.best_epoch is not None
    saved = MixupForSequenceClassification.from_pretrained(tmp_path / "model")
    assert not has_adapters(saved)
    torch.testing.assert_close(logits(saved), best[-1], atol=1e-5, rtol=1e-4)
    apart = peft.PeftModel.from_pretrained(encoder(), str(tmp_path / "adapter"))
    torch.testing.assert_close(logits(apart), best[-1], atol=1e-5, rtol=1e-4)
    assert has_adapters(instance.model)  # it could be trained on
    embeddings = [model.get_input_embeddings().weight for model in (saved, encoder())]
    assert torch.equal(*embeddings)


def test_a_model_without_adapters_saves_none(tmp_path: Path) -> None:
    model = BertForSequenceClassification(encoder().config.encoder)
    trainer(tmp_path, model=model, max_steps=1).train()
    assert not (tmp_path / "adapter").exists()
