from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from textmix.output import open_writer

HARD = ["a\rb", "a\nb", 'a "b", c', "a\tb", "plain", ""]


@pytest.mark.parametrize(("suffix", "separator"), [(".csv", ","), (".tsv", "\t")])
def test_texts_come_back_as_they_went(tmp_path: Path, suffix: str, separator: str) -> None:
    path = tmp_path / f"predictions{suffix}"
    with open_writer(path) as write:
        for start in range(0, len(HARD), 2):  # each batch decides for itself what it quotes
            texts = HARD[start : start + 2]
            write(pa.table({"text": texts, "number": pa.array([1, None]), "probability": [0.5, 0.25]}))
    back = pd.read_csv(path, sep=separator, keep_default_na=False, na_values={"number": [""]})
    assert back["text"].tolist() == HARD
    assert back["number"].dropna().tolist() == [1, 1, 1]
    assert back["probability"].tolist() == [0.5, 0.25] * 3


def test_what_needs_no_quotes_has_none(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    with open_writer(path) as write:
        write(pa.table({"text": ["one", "two"], "number": [1, 2]}))
    assert path.read_text() == "text,number\none,1\ntwo,2\n"
