"""Training on the device: exact resume, averaged weights, what is cheap on a CPU, calibration and prediction."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from tests.support.trainer import TOKENIZER, CrashError, same, stop_at, textcnn, trainer, weights
from textmix.config.run import RunConfig
from textmix.config.train import TrainConfig
from textmix.data.config import DataConfig
from textmix.inference.predictor import Predictor
from textmix.mixing.config import MixConfig
from textmix.models.config import ModelConfig, TextCNNOptions, WordOptions
from textmix.runs.train import train
from textmix.training.cpu.dropout import ByteDropout
from textmix.training.loop import TrainingLoop

pytestmark = pytest.mark.gpu


def tiny_bert(dropout: float = 0.0) -> BertForSequenceClassification:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(TOKENIZER),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        num_labels=3,
        problem_type="single_label_classification",
    )
    return BertForSequenceClassification(config)


@pytest.mark.usefixtures("deterministic")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("strategy", ["manifold", "ssmix"])
def test_a_resumed_run_equals_the_uninterrupted_one(
    strategy: str, precision: str, tmp_path: Path, device: torch.device
) -> None:
    if precision == "fp16" and device.type == "cpu":
        pytest.skip("fp16 trains on a GPU only")
    mix = MixConfig(strategy=strategy)
    options: dict[str, Any] = {"mix": mix, "precision": precision, "epochs": 2, "ema_decay": 0.9}
    trainer(tmp_path / "whole", model=tiny_bert(0.1), **options).train()

    def crash(loop: TrainingLoop) -> None:
        raise CrashError

    first = trainer(tmp_path / "parts", model=tiny_bert(0.1), save_steps=3, **options)
    stop_at(first, 11, crash)
    with pytest.raises(CrashError):
        first.train()
    trainer(tmp_path / "parts", model=tiny_bert(0.1), save_steps=3, **options).train(resume=True)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


@pytest.mark.usefixtures("deterministic")
@pytest.mark.parametrize(
    "options", [{}, {"ema_decay": 0.9}, {"cpu_speedups": False}, {"accumulation_steps": 2}], ids=str
)
@pytest.mark.parametrize("model", [tiny_bert, lambda: textcnn(dropout=0.0)], ids=["BERT", "TextCNN"])
def test_training_equals_that_of_the_cpu(
    model: Any, options: dict[str, Any], tmp_path: Path, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer(tmp_path / "device", model=model(), epochs=1, **options).train()
    with monkeypatch.context() as patched:
        patched.setattr(torch.accelerator, "is_available", lambda: False)
        trainer(tmp_path / "cpu", model=model(), epochs=1, **options).train()
    found, expected = weights(tmp_path / "device"), weights(tmp_path / "cpu")
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=2e-3, rtol=2e-3, msg=name)


def test_byte_dropout_is_the_stock_one_on_a_gpu(device: torch.device) -> None:
    if device.type == "cpu":
        pytest.skip("on a CPU it draws by itself")
    ones, masks = torch.ones(1000, device=device), []
    for dropout in (ByteDropout(0.3), torch.nn.Dropout(0.3)):
        torch.manual_seed(1)
        masks.append(dropout(ones))
    assert torch.equal(*masks)


def test_a_run_is_evaluated_calibrated_and_predicts(topics_csv: Path, tmp_path: Path, device: torch.device) -> None:
    words = WordOptions(min_frequency=1, embedding_dim=8)
    config = RunConfig(
        DataConfig(source=str(topics_csv), validation_fraction=0.2),
        ModelConfig("textcnn", words=words, textcnn=TextCNNOptions(4)),
        MixConfig(strategy="word"),
        train=TrainConfig(epochs=2),
        output_dir=str(tmp_path / "run"),
    )
    result = train(config, show_progress=False)
    assert result is not None
    assert 0 < result.metrics["test"]["scaled_nll"] < 3
    with (tmp_path / "run" / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    predictor = Predictor.from_pretrained(tmp_path / "run")
    predictor.model.to(device)
    probabilities = predictor([row["text"] for row in rows])
    names = predictor.class_names
    for row, found in zip(rows, probabilities, strict=True):
        for name, value in zip(names, found, strict=True):
            assert float(row[f"probability_{name}"]) == pytest.approx(value, abs=1e-4)
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert (environment["device"] == "cpu") == (device.type == "cpu" or not torch.cuda.is_available())
