import json
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForSequenceClassification, BertModel

from tests.support.family_configs import bert_config
from tests.support.topics import topic_rows
from textmix.cli.main import main
from textmix.data.long_text import LONG_TEXT, WINDOWS, split_windows
from textmix.data.tokenization import tokenize
from textmix.errors import ConfigError
from textmix.mixing.config import MixConfig
from textmix.models.config import ModelConfig
from textmix.models.loading import build_model
from textmix.models.words.tokenizer_training import train_tokenizer
from textmix.tasks.single_label import Classes
from textmix.training.pooled import check_pooled, pool_rows

ROWS = topic_rows(40)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    directory = tmp_path / "bert"
    tokenizer, config = train_tokenizer([text for text, _ in ROWS]), bert_config()
    config.vocab_size = len(tokenizer)
    BertModel(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def test_the_vectors_are_those_of_each_row_alone_without_dropout(checkpoint: Path) -> None:
    loaded = build_model(
        ModelConfig(name=str(checkpoint), pooling="mean", freeze="encoder"), Classes(["a", "b", "c"]).to_config(), []
    )
    texts = [" ".join(["goal"] * count) for count in (3, 1, 7, 2, 5)]
    rows = tokenize(Dataset.from_dict({"text": texts}), loaded.tokenizer, np.array([0, 1, 2, 1, 0]))
    pooled = pool_rows(loaded.model, loaded.tokenizer, rows, batch_size=2)
    assert pooled["labels"][:].tolist() == [0, 1, 2, 1, 0]
    assert loaded.model.training
    loaded.model.eval()
    for text, vector in zip(texts, pooled["pooled"], strict=True):
        alone = loaded.tokenizer(text, return_tensors="pt")
        torch.testing.assert_close(vector, loaded.model.pool(**alone)[0])
        logits = loaded.model(pooled=vector.unsqueeze(0)).logits
        torch.testing.assert_close(logits, loaded.model(**alone).logits)


def test_windows_are_averaged(checkpoint: Path) -> None:
    loaded = build_model(
        ModelConfig(name=str(checkpoint), freeze="encoder", max_length=8), Classes(["a", "b"]).to_config(), []
    )
    loaded.tokenizer.init_kwargs[LONG_TEXT] = WINDOWS
    long = " ".join(text for text, _ in ROWS[:4])
    rows = tokenize(Dataset.from_dict({"text": [long, "goal"]}), loaded.tokenizer, np.array([0, 1]))
    pooled = pool_rows(loaded.model, loaded.tokenizer, rows, batch_size=2)
    loaded.model.eval()
    alone = [
        loaded.model.pool(**{name: torch.tensor([ids]) for name, ids in w.items()}) for w in split_windows(rows[0])
    ]
    assert len(alone) > 2
    torch.testing.assert_close(pooled["pooled"][0], torch.cat(alone).mean(dim=0))


@pytest.mark.parametrize("strategy", ["none", "sentence", "batch"])
def test_only_the_head_learns(checkpoint: Path, topics_csv: Path, tmp_path: Path, strategy: str) -> None:
    run = tmp_path / "run"
    options = ["--model.name", str(checkpoint), "--model.freeze", "encoder", "--mix.strategy", strategy]
    options += ["--train.learning_rate", "0.05", "--train.epochs", "20", "--train.batch_size", "8"]
    assert main(["train", "--data.source", str(topics_csv), *options, "--output_dir", str(run)]) == 0
    before = BertModel.from_pretrained(checkpoint).state_dict()
    model = AutoModelForSequenceClassification.from_pretrained(run / "model")
    for name, weight in model.encoder.state_dict().items():
        assert torch.equal(weight, before[name])
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < losses[0] < 4  # clean and mixed


@pytest.mark.parametrize(
    ("mix", "message"),
    [
        (MixConfig(strategy="word"), r"mix\.strategy word mixes at another site; use one of none, sentence, batch"),
        (
            MixConfig(strategy="any", any={"choices": {"sentence": 1, "manifold": 1}}),
            r"mix\.strategy any mixes at another site",
        ),
        (
            MixConfig(strategy="sentence", partner="length"),
            r"^mix\.partner length needs the tokens of a row, but model\.",
        ),
        (
            MixConfig(strategy="sentence", lam="similarity"),
            r"^mix\.lam similarity needs the tokens of a row, but model\.",
        ),
    ],
)
def test_what_needs_more_than_the_vectors_is_refused(mix: MixConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_pooled(mix, "model.freeze encoder")


def test_confidence_needs_no_tokens() -> None:
    check_pooled(MixConfig(strategy="sentence", partner="easy_hard", targets="trust"), "model.freeze encoder")


@pytest.mark.parametrize("options", [{"head": "native"}, {"pooling": "attention"}])
def test_a_head_that_reads_more_than_the_vectors_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"^model\.freeze encoder needs model\.head linear and a pooling without"):
        ModelConfig(freeze="encoder", **options)
