import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from textmix.errors import ModelError
from textmix.models.words.vectors import read_vectors

VOCABULARY = {"[UNK]": 1, "cat": 3, "dog": 4}


def test_glove_word2vec_text_and_binary(tmp_path: Path) -> None:
    glove, text, binary = tmp_path / "v.txt", tmp_path / "v.vec", tmp_path / "v.bin"
    glove.write_text("cat 1 2\nfish 3 4\n")
    text.write_text("2 2\ncat 1 2\nfish 3 4\n")
    binary.write_bytes(b"2 2\ncat " + struct.pack("<2f", 1, 2) + b"\nfish " + struct.pack("<2f", 3, 4) + b"\n")
    packed = [path.with_name(f"{path.name}.gz") for path in (glove, text, binary)]
    for path, small in zip((glove, text, binary), packed, strict=True):
        small.write_bytes(gzip.compress(path.read_bytes()))
    for path in (glove, text, binary, *packed):
        found = read_vectors(str(path), VOCABULARY)
        assert list(found) == [3]
        np.testing.assert_array_equal(found[3], [1, 2])


def test_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no file of word vectors at .*missing"):
        read_vectors(str(tmp_path / "missing.txt"), VOCABULARY)
    (tmp_path / "prose.txt").write_text("this is no vector file\nat all\n")
    with pytest.raises(ModelError, match=r"prose\.txt is not a file of word vectors"):
        read_vectors(str(tmp_path / "prose.txt"), VOCABULARY)
    (tmp_path / "plain.txt.gz").write_text("cat 1 2\n")
    with pytest.raises(ModelError, match=r"plain\.txt\.gz is not a file of word vectors"):
        read_vectors(str(tmp_path / "plain.txt.gz"), VOCABULARY)
    (tmp_path / "other.txt").write_text("poisson 1 2\n")
    with pytest.raises(ModelError, match="no vector for any of the 2 words"):
        read_vectors(str(tmp_path / "other.txt"), VOCABULARY)
    (tmp_path / "broken.txt").write_text("cat 1 nan\n")
    with pytest.raises(ModelError, match=r"broken\.txt is damaged: the vector of 'cat' holds numbers that are not fin"):
        read_vectors(str(tmp_path / "broken.txt"), VOCABULARY)


def test_a_missing_gensim_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "gensim", None)
    monkeypatch.setitem(sys.modules, "gensim.models", None)
    with pytest.raises(ModelError, match=r"pip install 'textmix\[vectors\]'"):
        read_vectors(str(tmp_path / "v.txt"), VOCABULARY)
