"""Shared fixtures: tiny models built from configs, a small data set, no network."""

import gc
import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from transformers import (
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    PreTrainedModel,
    RobertaConfig,
    RobertaForSequenceClassification,
)

# Workers of pytest-xdist share the cores; more threads each only get in each other's way.
torch.set_num_threads(1)

from tests.support.families import BERT_LIKE, VOCAB, bert_config  # noqa: E402
from tests.support.topics import topic_rows  # noqa: E402
from textmix.models.sequence_classifier import MixupEncoderConfig, MixupForSequenceClassification  # noqa: E402
from textmix.models.words.fasttext import FastText, FastTextConfig  # noqa: E402
from textmix.models.words.textcnn import TextCNN, TextCNNConfig  # noqa: E402
from textmix.models.words.textrnn import TextRNN, TextRNNConfig  # noqa: E402

# accelerate collects garbage at the end of each run: half a second, most of it among the objects of libraries.
gc.freeze()

LABELS = 3


def _own(pooling: str) -> PreTrainedModel:
    config = MixupEncoderConfig(encoder=bert_config(), pooling=pooling, num_labels=LABELS, classifier_dropout=0.0)
    return MixupForSequenceClassification(config)


def _distilbert() -> PreTrainedModel:
    sizes = {"vocab_size": VOCAB, "dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 24}
    none = {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0}
    return DistilBertForSequenceClassification(DistilBertConfig(num_labels=LABELS, **sizes, **none))


def _roberta() -> PreTrainedModel:
    return RobertaForSequenceClassification(RobertaConfig(pad_token_id=1, num_labels=LABELS, **BERT_LIKE))


def _textcnn() -> PreTrainedModel:
    sizes = {"vocab_size": VOCAB, "embedding_dim": 8, "num_filters": 4, "kernel_sizes": [2, 3, 4]}
    return TextCNN(TextCNNConfig(num_labels=LABELS, dropout=0.0, **sizes))


def _textrnn() -> PreTrainedModel:
    sizes = {"vocab_size": VOCAB, "embedding_dim": 8, "lstm_units": 5, "num_hidden_layers": 2}
    return TextRNN(TextRNNConfig(num_labels=LABELS, dropout=0.0, **sizes))


def _fasttext() -> PreTrainedModel:
    return FastText(FastTextConfig(num_labels=LABELS, vocab_size=VOCAB, embedding_dim=8, ngrams=2, buckets=50))


MODELS: dict[str, Callable[[], PreTrainedModel]] = {
    "own-mean": lambda: _own("mean"),
    "own-cls": lambda: _own("cls"),
    "own-max": lambda: _own("max"),
    "own-attention": lambda: _own("attention"),
    "own-last": lambda: _own("last"),
    "bert": lambda: BertForSequenceClassification(bert_config()),
    "distilbert": _distilbert,
    "roberta": _roberta,
    "textcnn": _textcnn,
    "textrnn": _textrnn,
    "fasttext": _fasttext,
}


@pytest.fixture(autouse=True)
def _no_accelerator_left() -> Iterator[None]:
    """Forget the accelerator of a test: its precision would bind every later one of the process."""
    yield
    AcceleratorState._reset_state()


@pytest.fixture(scope="session")
def build() -> Callable[[str], PreTrainedModel]:
    """Build a tiny model by name, in float64 and training mode, the same one each time."""

    def make(name: str) -> PreTrainedModel:
        torch.manual_seed(0)
        return MODELS[name]().double().train()

    return make


@pytest.fixture
def ragged() -> dict[str, torch.Tensor]:
    """Five rows of different lengths, padded on the right, with labels."""
    generator = torch.Generator().manual_seed(3)
    lengths = [9, 4, 7, 1, 6]
    ids = torch.randint(5, VOCAB, (len(lengths), max(lengths)), generator=generator)
    mask = (torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]).long()
    pad = torch.where(mask.bool(), ids, torch.ones_like(ids))
    return {"input_ids": pad, "attention_mask": mask, "labels": torch.tensor([0, 1, 2, 1, 0])}


@pytest.fixture
def topics_csv(tmp_path: Path) -> Path:
    """A csv file with 90 texts of three topics."""
    path = tmp_path / "topics.csv"
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in topic_rows(90)))
    return path


@pytest.fixture
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run the test in an empty directory of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
