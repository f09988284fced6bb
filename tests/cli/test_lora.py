"""model.lora from the command line: what a run writes, other commands on it, going on, and what is refused."""

import json
import sys
from pathlib import Path

import peft
import pytest
import torch
from torch import nn
from transformers import AutoModelForSequenceClassification, BertModel

from tests.support.commands import fails, fails_quietly, tells
from tests.support.family_configs import bert_config
from tests.support.task_files import CASES, write_case
from tests.support.topics import topic_rows
from textmix import MixupForSequenceClassification
from textmix.cli.main import main
from textmix.models.loading import load_model
from textmix.models.words.tokenizer_training import train_tokenizer

LORA = ["--model.lora.rank", "4"]
QUICK = ["--train.epochs", "2", "--train.batch_size", "8", "--train.precision", "fp32"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small encoder, and rows of the topics."""
    folder = tmp_path_factory.mktemp("lora")
    rows = topic_rows(60)
    (folder / "topics.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    tokenizer = train_tokenizer([text for text, _ in rows])
    tokenizer.model_max_length = 30
    config = bert_config()
    config.vocab_size = len(tokenizer)
    torch.manual_seed(0)
    BertModel(config).save_pretrained(folder / "encoder")
    tokenizer.save_pretrained(folder / "encoder")
    return folder


def train(folder: Path, name: str, *options: str) -> Path:
    source = ["--data.source", str(folder / "topics.csv"), "--model.name", str(folder / "encoder")]
    assert main(["train", *source, *QUICK, *options, "--output_dir", str(folder / name)]) == 0
    return folder / name


@pytest.fixture(scope="module")
def run(folder: Path) -> Path:
    """A finished and calibrated run with adapters."""
    return train(folder, "run", *LORA, "--model.pooling", "attention", "--train.calibrate", "true")


@torch.no_grad()
def logits(model: nn.Module) -> torch.Tensor:
    ids = torch.tensor([[2, 3, 4, 5], [6, 7, 8, 2]])
    return model.eval()(input_ids=ids, attention_mask=torch.ones_like(ids)).logits


def test_model_and_adapter_are_calibrated_alike(run: Path, folder: Path) -> None:
    model = load_model(run / "model").model.cpu()
    assert model.config.temperatures
    base = MixupForSequenceClassification.from_pretrained(folder / "encoder", num_labels=3, pooling="attention")
    apart = peft.PeftModel.from_pretrained(base, str(run / "adapter"))
    torch.testing.assert_close(logits(apart), logits(model))
    own = load_model(run / "adapter").model.cpu()
    torch.testing.assert_close(logits(own), logits(model))
    assert own.config.to_dict() | {"_name_or_path": ""} == model.config.to_dict() | {"_name_or_path": ""}
    assert "learning_rate: 0.0005\n" in (run / "config.yaml").read_text()


def test_other_commands_need_no_peft(run: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    assert main(["predict", str(run), str(folder / "topics.csv"), "--output", str(folder / "predicted.csv")]) == 0
    assert len((folder / "predicted.csv").read_text().splitlines()) == 61
    assert main(["evaluate", str(run)]) == 0


def test_a_native_head_is_a_stock_checkpoint(folder: Path) -> None:
    run = train(folder, "native", *LORA, "--model.head", "native")
    stock = AutoModelForSequenceClassification.from_pretrained(run / "model")
    assert type(stock).__name__ == "BertForSequenceClassification"
    base = AutoModelForSequenceClassification.from_pretrained(folder / "encoder", num_labels=3)
    apart = peft.PeftModel.from_pretrained(base, str(run / "adapter"))
    torch.testing.assert_close(logits(apart), logits(stock))


def test_a_class_for_each_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (case,) = (case for case in CASES if case.task == "token_classification")
    run, options = tmp_path / "run", write_case(case, tmp_path)
    assert main(["train", *options, *LORA, "--output_dir", str(run)]) == 0
    assert "adapters of rank 4 on 18 linear maps" in capsys.readouterr().out
    base = load_model(run / "adapter").model.cpu()
    torch.testing.assert_close(logits(base), logits(load_model(run / "model").model.cpu()))
    assert main(["predict", str(run), str(tmp_path / "new.jsonl")]) == 0


@pytest.mark.parametrize(("options", "rate"), [([], "5.0e-05"), (LORA, "0.0005")])
def test_training_goes_on_from_an_adapter(
    run: Path, folder: Path, tmp_path: Path, options: list[str], rate: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = (folder / "topics.csv").read_text().replace(",music", ",news")
    (tmp_path / "topics.csv").write_text(rows)
    source = ["--data.source", str(tmp_path / "topics.csv"), "--model.name", str(run / "adapter")]
    target = tmp_path / "run"
    assert main(["train", *source, *options, "--train.max_steps", "1", "--output_dir", str(target)]) == 0
    assert f"{run / 'adapter'}: 2 classes keep their weights; new: news; left out: music" in capsys.readouterr().out
    assert f"learning_rate: {rate}\n" in (target / "config.yaml").read_text()
    assert (target / "adapter").is_dir() is bool(options)
    assert load_model(target / "model").model.config.id2label == {0: "food", 1: "news", 2: "sport"}
    if options:
        torch.testing.assert_close(
            logits(load_model(target / "adapter").model), logits(load_model(target / "model").model)
        )


def test_a_new_run_removes_the_adapter_of_the_old_one(folder: Path) -> None:
    run = train(folder, "twice", *LORA, "--train.max_steps", "1")
    settings = json.loads((run / "adapter" / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == str(folder / "encoder")
    train(folder, "twice", "--overwrite", "--train.max_steps", "1")
    assert not (run / "adapter").exists()


def test_what_does_not_fit_is_refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = ["train", "--data.source", str(folder / "topics.csv"), "--output_dir", str(tmp_path / "run")]
    message = fails([*start, "--model.name", "textcnn", *LORA], capsys)
    assert tells(message, "model.lora", "textcnn", "leave it out")
    message = fails([*start, "--model.lora.alpha", "8", "--model.freeze", "1"], capsys)
    assert tells(message, "model.lora.alpha", "without model.lora.rank")
    targets = ["--model.name", str(folder / "encoder"), *LORA, "--model.lora.targets", "[query,vlaue]"]
    message = fails_quietly([*start, *targets], capsys)
    assert tells(message, "model.lora.targets", "vlaue", "query, key, value, dense")
    assert not (tmp_path / "run").exists()
