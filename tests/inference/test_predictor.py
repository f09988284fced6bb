import itertools
import pickle
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from datasets import Dataset
from transformers import BertForSequenceClassification

from tests.support.family_configs import bert_config
from textmix import Predictor, TextCNN, TextCNNConfig
from textmix.errors import DataError, RunError
from textmix.models.logits import predict_logits
from textmix.models.words.tokenizer_training import train_tokenizer

TEXTS = ["a b c d e f", "b", "", "c d", "a a a", "f e d c b"]


@pytest.fixture
def predictor() -> Predictor:
    torch.manual_seed(0)
    tokenizer = train_tokenizer(TEXTS, min_frequency=1)
    config = TextCNNConfig(
        vocab_size=len(tokenizer), embedding_dim=8, num_filters=4, id2label={0: "x", 1: "y"}, label2id={"x": 0, "y": 1}
    )
    return Predictor(TextCNN(config).eval(), tokenizer, batch_size=2)


def test_rows_come_back_in_order_whatever_their_lengths(predictor: Predictor) -> None:
    together = predictor(TEXTS)
    alone = np.concatenate([predictor([text]) for text in TEXTS])
    assert together.shape == (6, 2)
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-12)
    assert predictor.class_names == ["x", "y"]


def test_no_texts_give_no_rows(predictor: Predictor) -> None:
    assert predictor([]).shape == (0, 2)


def test_a_text_alone_is_no_list_of_texts(predictor: Predictor) -> None:
    for given in ("a b", iter(["a b"])):
        with pytest.raises(DataError, match=r"^give a list of texts, not a single string"):
            list(predictor(given))


def test_pairs_go_with_their_texts(predictor: Predictor) -> None:
    pairs = ["f", "a b", "c", "", "e e", "b"]
    together = predictor(TEXTS, pairs)
    alone = np.concatenate([predictor([text], [pair]) for text, pair in zip(TEXTS, pairs, strict=True)])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert not np.allclose(together, predictor(TEXTS))


def test_the_model_returns_to_the_mode_it_was_in(predictor: Predictor) -> None:
    predictor.model.train()
    predictor(TEXTS)
    assert predictor.model.training
    with pytest.raises(RuntimeError, match="stop"):
        predict_logits(predictor.model, [{"input_ids": torch.ones(1, 2).long()}], gather=lambda _: _stop())
    assert predictor.model.training


def _stop() -> torch.Tensor:
    raise RuntimeError("stop")


def test_dropout_is_off(predictor: Predictor) -> None:
    predictor.model.train()
    np.testing.assert_array_equal(predictor(TEXTS), predictor(TEXTS))


@pytest.fixture
def saved(predictor: Predictor, tmp_path: Path) -> Path:
    """A directory with the model, as a worker of Ray or Spark would find it."""
    predictor.model.save_pretrained(tmp_path / "saved")
    predictor.tokenizer.save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


ADDED = ["prediction", "confidence", "probability_x", "probability_y"]


def test_progress_counts_every_row_once(predictor: Predictor) -> None:
    seen: list[int] = []
    predictor(TEXTS, progress=seen.append)
    assert seen == [2, 2, 2]


class TestRows:
    """Rows come back as what they were, with columns added."""

    def check(self, predictor: Predictor, columns: dict[str, list[object]]) -> None:
        expected = predictor(TEXTS)
        assert list(columns) == ["id", "text", *ADDED]
        assert list(columns["id"]) == list(range(6))
        assert list(columns["prediction"]) == ["xy"[number] for number in expected.argmax(axis=1)]
        np.testing.assert_allclose(np.asarray(columns["confidence"], float), expected.max(axis=1))
        np.testing.assert_allclose(np.asarray(columns["probability_y"], float), expected[:, 1])

    def test_mapping(self, predictor: Predictor) -> None:
        self.check(predictor, predictor({"id": range(6), "text": np.array(TEXTS, dtype=object)}))

    def test_datasets_map(self, predictor: Predictor, saved: Path) -> None:
        dataset = Dataset.from_dict({"id": range(6), "text": TEXTS})
        for callable_ in (predictor, Predictor.from_pretrained(saved)):
            mapped = dataset.map(callable_, batched=True, batch_size=4)
            self.check(predictor, {name: mapped[name][:] for name in mapped.column_names})

    def test_data_frames_keep_their_index(self, predictor: Predictor) -> None:
        frame = pd.DataFrame({"id": range(6), "text": TEXTS}, index=list("abcdef"))
        predicted = predictor(frame)
        assert list(predicted.index) == list("abcdef")
        assert list(frame) == ["id", "text"]
        self.check(predictor, predicted.to_dict("list"))

    def test_arrow_tables(self, predictor: Predictor) -> None:
        table = pa.table({"id": pa.array(range(6), pa.int8()), "text": TEXTS})
        predicted = predictor(table)
        assert predicted.schema.field("id").type == pa.int8()
        self.check(predictor, predicted.to_pydict())

    def test_an_iterator_of_frames_as_spark_gives_them(self, predictor: Predictor) -> None:
        frame = pd.DataFrame({"id": range(6), "text": TEXTS})
        read = []

        def frames() -> Iterator[pd.DataFrame]:
            for start in (0, 2):
                read.append(start)
                yield frame[start : start + (2 if start == 0 else 4)]

        predicted = predictor(frames())
        first = next(predicted)
        assert read == [0]  # a partition never has to fit in memory
        self.check(predictor, pd.concat([first, *predicted]).to_dict("list"))

    def test_missing_texts_are_empty_ones_and_numbers_are_texts(self, predictor: Predictor) -> None:
        predicted = predictor({"text": [None, float("nan"), "", 7]})
        assert len(set(predicted["confidence"][:3])) == 1
        assert len(predicted["prediction"]) == 4

    def test_pairs_and_other_columns(self, predictor: Predictor) -> None:
        rows = {"a": ["a b", "c"], "b": ["f", "d"]}
        both = Predictor(predictor.model, predictor.tokenizer, text_columns=["a", "b"])(rows)
        np.testing.assert_allclose(both["confidence"], predictor(rows["a"], rows["b"]).max(axis=1), atol=1e-7)

    def test_a_column_that_is_missing_or_taken(self, predictor: Predictor) -> None:
        with pytest.raises(DataError, match=r"^the rows have no column 'text'; they have words$"):
            predictor({"words": ["a"]})
        with pytest.raises(DataError, match=r"^the source already has a column 'confidence'"):
            predictor(pd.DataFrame({"text": ["a"], "confidence": [1]}))


class TestFromPretrained:
    def test_it_pickles_as_its_path_and_loads_when_called(self, predictor: Predictor, saved: Path) -> None:
        lazy = Predictor.from_pretrained(saved, batch_size=3)
        small = pickle.dumps(lazy)
        np.testing.assert_allclose(lazy(TEXTS), predictor(TEXTS), atol=1e-6)
        assert pickle.dumps(lazy) == small
        assert len(small) < 1000
        copy = pickle.loads(small)
        assert copy.model is lazy.model  # a process keeps the model, however many copies it is sent
        np.testing.assert_array_equal(copy(TEXTS), lazy(TEXTS))

    def test_a_model_written_anew_is_loaded_anew(self, predictor: Predictor, saved: Path) -> None:
        before = Predictor.from_pretrained(saved)(TEXTS)
        with torch.no_grad():
            predictor.model.classifier.bias += torch.tensor([3.0, 0.0])
        predictor.model.save_pretrained(saved)
        after = Predictor.from_pretrained(saved)(TEXTS)
        assert (after[:, 0] > before[:, 0] + 0.1).all()

    def test_rounding_does_not_decide_between_classes_that_lie_close(self, tmp_path: Path) -> None:
        torch.manual_seed(0)
        tokenizer = train_tokenizer(TEXTS, min_frequency=1)
        model = BertForSequenceClassification(bert_config())
        for parameter in model.parameters():  # fresh weights give every text nearly the same probabilities
            parameter.data *= 4
        model.save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
        texts = [" ".join(words) for words in itertools.product("abcdef", repeat=3)]
        exact = Predictor.from_pretrained(tmp_path)(texts)
        predictor = Predictor.from_pretrained(tmp_path, precision="bf16")
        rounded = predictor(texts)
        series = pd.Series(texts, index=range(len(texts))[::-1])  # whose labels are not its places
        np.testing.assert_array_equal(predictor(series), rounded)
        first, second = np.sort(exact, axis=1)[:, :-3:-1].T
        close, apart = first - second < 0.005, first - second > 0.05
        assert close.any()
        np.testing.assert_allclose(rounded[close], exact[close], atol=1e-6)
        assert not np.allclose(rounded[apart], exact[apart], atol=1e-6)

    def test_a_model_in_which_nothing_is_rounded_is_computed_once(self, saved: Path) -> None:
        rounded = Predictor.from_pretrained(saved, precision="bf16")
        assert rounded.load().exact is None
        np.testing.assert_array_equal(rounded(TEXTS), Predictor.from_pretrained(saved)(TEXTS))

    def test_what_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(RunError, match=r"^no run or model at .*gone$"):
            Predictor.from_pretrained(tmp_path / "gone")
        with pytest.raises(RunError, match=r"^no saved model at .*; has the run finished"):
            Predictor.from_pretrained(tmp_path)
        with pytest.raises(RunError, match=r"^no model.onnx at .*; make it with: textmix export "):
            Predictor.from_pretrained(tmp_path, backend="onnx")


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        (pd.array(["b", None], dtype="string"), ["b", ""]),
        (pd.array([1, None], dtype="Int64"), ["1", ""]),
        (np.array([1, 2]), ["1", "2"]),
        (np.array([1.5, np.nan]), ["1.5", ""]),
        ([Decimal("2.00"), Decimal("0.1")], ["2", "0.1"]),
    ],
)
def test_cells_of_other_types_are_read_as_text(predictor: Predictor, given: Any, texts: list[str]) -> None:
    probabilities = predictor(pd.DataFrame({"text": given})).filter(like="probability_").to_numpy()
    np.testing.assert_allclose(probabilities, predictor(texts), atol=1e-6)
    if isinstance(given, np.ndarray):  # as Ray gives columns
        table = predictor({"text": given})
        np.testing.assert_allclose(table["probability_x"], predictor(texts)[:, 0], atol=1e-6)
