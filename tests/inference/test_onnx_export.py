"""`textmix export`, and prediction with what it wrote."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertForSequenceClassification

from tests.support.commands import snapshot
from tests.support.family_configs import bert_config
from tests.support.versions import needs_exporter
from textmix import (
    FastText,
    FastTextConfig,
    MixupEncoderConfig,
    MixupForSequenceClassification,
    Predictor,
    TextCNN,
    TextCNNConfig,
    TextRNN,
    TextRNNConfig,
)
from textmix.errors import RunError
from textmix.inference.onnx_export import export_onnx
from textmix.models.words.tokenizer_training import train_tokenizer

pytestmark = needs_exporter

# Of very different lengths, so that batches hold padding; some shorter than any convolution.
TEXTS = ["a b c d e f " * 3, "b", "", "c d", "a a a", "f e d c b", "e " * 60]
WORDS = ["textcnn", "textrnn", "fasttext"]


def save(kind: str, directory: Path) -> Path:
    torch.manual_seed(0)
    encoder = bert_config()
    encoder.num_hidden_layers = 1
    tokenizer = train_tokenizer(TEXTS, min_frequency=1)
    tokenizer.model_max_length = 40
    sizes = {"vocab_size": len(tokenizer), "embedding_dim": 8, "num_labels": 3}
    if kind == "textcnn":
        model = TextCNN(TextCNNConfig(num_filters=4, **sizes))
    elif kind == "textrnn":
        model = TextRNN(TextRNNConfig(lstm_units=4, num_hidden_layers=2, **sizes))
    elif kind == "fasttext":
        model = FastText(FastTextConfig(ngrams=3, buckets=50, **sizes))
        torch.nn.init.normal_(model.embeddings.ngrams.weight.data[1:])
    elif kind == "native":
        model = BertForSequenceClassification(encoder)
    else:
        given = {"pooling": "mean", "normalize": True} if kind == "normalized" else {"pooling": kind}
        model = MixupForSequenceClassification(MixupEncoderConfig(encoder=encoder, num_labels=3, **given))
    for parameter in model.parameters():  # fresh weights give every text nearly the same probabilities
        parameter.data *= 4
    if kind == "normalized":  # which makes the scale of the encoder's weights void
        model.classifier.weight.data *= 10
    model.config.id2label = {0: "x", 1: "y", 2: "ä ö"}
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


@pytest.mark.parametrize(
    "kind",
    [
        "textcnn",
        "mean",
        *(
            pytest.param(kind, marks=pytest.mark.slow)
            for kind in ("textrnn", "fasttext", "native", "cls", "attention", "normalized")
        ),
    ],
)
def test_an_export_predicts_as_the_model_does_wherever_it_is_moved(kind: str, tmp_path: Path) -> None:
    export_onnx(save(kind, tmp_path / "model"), tmp_path / "onnx")
    # An encoder's own tokenizer puts a token into every text; without any, it attends to padding.
    texts = TEXTS if kind in WORDS else [text for text in TEXTS if text]
    expected = Predictor.from_pretrained(tmp_path / "model")(texts)
    shutil.rmtree(tmp_path / "model")
    (tmp_path / "onnx").rename(tmp_path / "elsewhere")
    exported = Predictor.from_pretrained(tmp_path / "elsewhere", batch_size=3)
    np.testing.assert_allclose(exported(texts), expected, atol=1e-5)
    if kind in WORDS:
        np.testing.assert_allclose(exported(["", ""]), expected[[2, 2]], atol=1e-5)
    assert np.ptp(expected, axis=0).max() > 0.05
    assert exported.class_names == ["x", "y", "ä ö"]


@pytest.mark.slow
def test_int8_is_near(tmp_path: Path) -> None:
    export_onnx(save("mean", tmp_path / "model"), tmp_path / "onnx", int8=True)
    assert sorted(path.name for path in (tmp_path / "onnx").iterdir()) == [
        "config.json",
        "model.onnx",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    texts = [text for text in TEXTS if text]
    exact, rounded = (Predictor.from_pretrained(tmp_path / name)(texts) for name in ("model", "onnx"))
    np.testing.assert_allclose(rounded, exact, atol=0.1)
    assert not np.allclose(rounded, exact, atol=1e-4)  # an export that is not rounded is nearer


@pytest.mark.slow
def test_something_else_is_never_replaced(tmp_path: Path) -> None:
    model = save("textcnn", tmp_path / "model")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").write_text("")
    with pytest.raises(RunError, match=r"mine exists and is not an export; choose another$"):
        export_onnx(model, tmp_path / "mine")
    export_onnx(model, tmp_path / "onnx")
    first = snapshot(tmp_path / "onnx")
    export_onnx(model, tmp_path / "onnx")
    assert snapshot(tmp_path / "onnx").keys() == first.keys()
    (tmp_path / "onnx" / "notes.json").write_text("mine")
    before = snapshot(tmp_path / "onnx")
    with pytest.raises(
        RunError, match=r"onnx holds 'notes\.json', which would be removed with the earlier export; choose"
    ):
        export_onnx(model, tmp_path / "onnx")
    assert snapshot(tmp_path / "onnx") == before
    assert {path.name for path in tmp_path.iterdir()} == {"model", "mine", "onnx"}


def test_a_package_of_the_extra_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = save("textcnn", tmp_path / "model")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(RunError, match=r"^textmix export needs onnxruntime: pip install 'textmix\[export\]'$"):
        export_onnx(model, tmp_path / "onnx")
    (tmp_path / "model" / "model.onnx").write_text("")
    with pytest.raises(RunError, match=r"^prediction with ONNX needs onnxruntime: pip install 'textmix\[export\]'$"):
        Predictor.from_pretrained(tmp_path / "model")(["a"])


def test_a_damaged_file(tmp_path: Path) -> None:
    save("textcnn", tmp_path / "model")
    (tmp_path / "model" / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(RunError, match=r"^cannot load the model at .*model: \S+"):
        Predictor.from_pretrained(tmp_path / "model")(["a"])
