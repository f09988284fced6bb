"""Entities of texts, with their characters."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from torch import nn
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from tests.support.family_configs import bert_config
from textmix import MixupEncoderConfig, MixupForTokenClassification, Predictor, resolve_model_path
from textmix.data.tokens import join_tokens
from textmix.inference.tokens import entities, token_outputs
from textmix.tasks.token_classification import Tags

SPACE = Tags(["O", "B-LOC", "I-LOC", "B-PER", "I-PER"])
TEXTS = ["Dora Smith met Ömer 😀 in Lima.", "我爱北京和Rome。", "", "nobody"]


class Knows(nn.Module):
    """A token classifier that knows the tags of word pieces."""

    device = torch.device("cpu")

    def __init__(self, tokenizer: PreTrainedTokenizerBase, tags: dict[str, str]) -> None:
        super().__init__()
        known = {tokenizer.convert_tokens_to_ids(piece): SPACE.names.index(tag) for piece, tag in tags.items()}
        self.tags = torch.tensor([known.get(number, 0) for number in range(len(tokenizer))])
        self.config = MixupEncoderConfig(encoder=bert_config(), architectures=["MixupForTokenClassification"])
        SPACE.store(self.config)

    def forward(self, input_ids: torch.Tensor, **inputs: Any) -> Any:
        logits = 9.0 * nn.functional.one_hot(self.tags[input_ids], len(SPACE.names))
        return type("Output", (), {"logits": logits})


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(resolve_model_path("minilm"))


@pytest.fixture(scope="module")
def predictor(tokenizer: PreTrainedTokenizerBase) -> Predictor:
    tags = {
        "dora": "B-PER",
        "smith": "I-PER",
        "om": "B-PER",
        "lima": "B-LOC",
        "北": "B-LOC",
        "京": "I-LOC",
        "rome": "I-LOC",
    }
    return Predictor(Knows(tokenizer, tags), tokenizer, batch_size=2)  # type: ignore[arg-type]


def test_entities_have_their_characters(predictor: Predictor) -> None:
    found = predictor(TEXTS)
    assert [[entity["text"] for entity in row] for row in found] == [
        ["Dora Smith", "Ömer", "Lima"],
        ["北京", "Rome"],
        [],
        [],
    ]
    for text, row in zip(TEXTS, found, strict=True):
        for entity in row:
            assert text[entity["start"] : entity["end"]] == entity["text"]
            assert 0.99 < entity["score"] < 1
    assert [entity["label"] for entity in found[0]] == ["PER", "PER", "LOC"]


def test_rows_of_every_kind_get_them(predictor: Predictor) -> None:
    expected = predictor(TEXTS)
    assert predictor({"text": TEXTS})["prediction"] == expected
    assert predictor(pd.DataFrame({"text": TEXTS}))["prediction"].tolist() == expected
    assert predictor(pa.table({"text": TEXTS}))["prediction"].to_pylist() == expected


def test_tokens_are_joined(predictor: Predictor) -> None:
    tokens = [["Dora", "Smith", "left"], ["北", "京"]]
    texts = [join_tokens(row)[0] for row in tokens]
    assert predictor({"text": tokens})["prediction"] == predictor(texts)
    marked = pa.schema([pa.field("text", pa.string(), metadata={"nested": "JSON"})])
    table = pa.table({"text": [json.dumps(row) for row in tokens]}, schema=marked)
    assert predictor(table)["prediction"].to_pylist() == predictor(texts)


def test_tokens_of_one_s_own_and_behind_the_cut(predictor: Predictor, tokenizer: PreTrainedTokenizerBase) -> None:
    text, spans = join_tokens(["Dora", "Smith", "of", "Lima"])
    tokenizer.model_max_length = 4  # with two special tokens
    try:
        found = token_outputs(predictor.model, tokenizer, SPACE, [text], [np.array(spans)])[0]
    finally:
        tokenizer.model_max_length = 512
    assert [SPACE.names[number] for number in found.argmax(axis=1)] == ["B-PER", "I-PER", "O", "O"]
    assert found[3].tolist() == [1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-PER I-PER O", [(0, 3, "PER")]),
        ("I-PER I-PER I-LOC", [(0, 3, "PER"), (4, 5, "LOC")]),
        ("B-PER B-PER O", [(0, 1, "PER"), (2, 3, "PER")]),
        ("B-PER I-LOC I-LOC", [(0, 1, "PER"), (2, 5, "LOC")]),
        ("O I-PER O", [(2, 3, "PER")]),
    ],
)
def test_tags_make_entities(tags: str, expected: list[tuple[int, int, str]]) -> None:
    outputs = np.eye(5)[[SPACE.names.index(tag) for tag in tags.split()]]
    found = entities("a b c", np.array([(0, 1), (2, 3), (4, 5)]), outputs, SPACE.names)
    assert [(entity["start"], entity["end"], entity["label"]) for entity in found] == expected


def test_a_saved_model_is_a_token_classifier_again(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = bert_config()
    config.vocab_size = len(tokenizer)
    model = MixupForTokenClassification(MixupEncoderConfig(encoder=config, num_labels=5)).eval()
    SPACE.store(model.config)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = Predictor.from_pretrained(tmp_path)
    assert loaded.space == SPACE
    expected = token_outputs(model, tokenizer, SPACE, TEXTS)
    for found, other in zip(loaded.outputs(TEXTS), expected, strict=True):
        np.testing.assert_allclose(found, other, atol=1e-6)
