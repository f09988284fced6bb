import importlib.util
import sys

import numpy as np
import pytest

from textmix.errors import ModelError, TextmixError
from textmix.models.words import bundled_vectors
from textmix.models.words.vectors import read_vectors

needs_package = pytest.mark.skipif(importlib.util.find_spec("wordllama") is None, reason="needs the extra vectors")
WORDS = {"[PAD]": 0, "[UNK]": 1, "[SEP]": 2, "king": 3, "queen": 4, "cabbage": 5, "antidisestablishmentarian": 6}


def cosine(first: np.ndarray, second: np.ndarray) -> float:
    return float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))


@needs_package
def test_every_word_has_a_vector_and_like_words_like_ones() -> None:
    vectors = read_vectors("bundled", WORDS)
    assert set(vectors) == {3, 4, 5, 6}
    assert {vector.shape for vector in vectors.values()} == {(256,)}
    assert cosine(vectors[3], vectors[4]) > cosine(vectors[3], vectors[5]) + 0.1
    assert "wordllama" not in sys.modules


@needs_package
def test_the_vector_of_a_word_is_the_mean_of_those_of_its_tokens() -> None:
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    directory = bundled_vectors.package_directory("wordllama", "wordllama")
    table = load_file(directory / "weights" / "l2_supercat_256.safetensors")["embedding.weight"].astype(np.float64)
    tokenizer = Tokenizer.from_file(str(directory / "tokenizers" / "l2_supercat_tokenizer_config.json"))
    ids = tokenizer.encode("antidisestablishmentarian", add_special_tokens=False).ids
    assert len(ids) > 2
    mean = sum(table[number] for number in ids) / len(ids)
    np.testing.assert_allclose(read_vectors("bundled", WORDS)[6], mean, rtol=1e-3)


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(TextmixError, match=r"wordllama is not installed; install it with: pip install 'textmix\[vect"):
        read_vectors("bundled", WORDS)


def test_other_files_than_expected_are_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr(bundled_vectors, "package_directory", lambda *names: tmp_path)
    with pytest.raises(ModelError, match=r"^cannot read the vectors of wordllama \(.*\); reinstall it with: pip"):
        read_vectors("bundled", WORDS)
