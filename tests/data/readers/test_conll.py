from pathlib import Path

import pytest

from textmix.data.reading import Reading
from textmix.data.sources import load_source
from textmix.errors import DataError

TEXT = "-DOCSTART- -X- O O\n\nIn IN O\nÖrebro NNP B-LOC\n, , O\n\n\nAnna NNP B-PER\nLee NNP I-PER\n"
ROWS = {"text": [["In", "Örebro", ","], ["Anna", "Lee"]], "label": [["O", "B-LOC", "O"], ["B-PER", "I-PER"]]}


def test_the_first_column_is_the_token_and_the_last_its_tag(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text(TEXT)
    assert load_source(str(tmp_path / "a.conll"))["train"].to_dict() == ROWS
    (tmp_path / "b.txt").write_bytes(("\ufeff" + TEXT.replace(" ", "\t")).replace("\n", "\r\n").encode())
    found = load_source(str(tmp_path / "b.txt"), Reading(format="conll", columns=("tokens", "tags")))["train"]
    assert found.to_dict() == {"tokens": ROWS["text"], "tags": ROWS["label"]}
    (tmp_path / "c.conll").write_text(TEXT, encoding="latin-1")
    assert load_source(str(tmp_path / "c.conll"), Reading(encoding="latin-1"))["train"].to_dict() == ROWS


@pytest.mark.parametrize(
    ("content", "reading", "message"),
    [
        ("Anna B-PER\nLee\n", Reading(), r"a\.conll, line 2: 'Lee' has no tag"),
        ("Anna B-PER\n", Reading(columns=("tokens",)), "data.columns must name the columns of tokens and tags, not 1"),
        ("\n\n", Reading(), "no rows"),
    ],
)
def test_wrong_files(tmp_path: Path, content: str, reading: Reading, message: str) -> None:
    (tmp_path / "a.conll").write_text(content)
    with pytest.raises(DataError, match=message):
        load_source(str(tmp_path / "a.conll"), reading)
