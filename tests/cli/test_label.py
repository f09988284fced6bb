"""`textmix label`: rows are chosen and asked for, answers are in the file, whatever is typed or happens."""

import io
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.support.answers import Typing
from tests.support.commands import csv_of, fails, fails_quietly, snapshot, tells
from tests.support.topics import topic_rows
from textmix.cli.main import main

TEXTS = [text for text, _ in topic_rows(12, seed=5)]


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    path = tmp_path / "pool.csv"
    pd.DataFrame({"id": range(12), "review": TEXTS}).to_csv(path, index=False)
    return path


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Typing]:
    def type_lines(*lines: str, **options: Any) -> Typing:
        typing = Typing(*lines, **options)
        monkeypatch.setattr("builtins.input", typing)
        return typing

    return type_lines


def arguments(pool: Path | str, run: Path, output: Path, *more: str) -> list[str]:
    return ["label", str(pool), "--run", str(run), "--output", str(output), *more]


class TestSession:
    def test_answers_become_rows(
        self, run: Path, pool: Path, tmp_path: Path, typed: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        output = tmp_path / "o.csv"
        typing = typed("food", "2", "/s", "+new class", "/q")
        assert main(arguments(pool, run, output)) == 0
        rows = pd.read_csv(output)
        assert list(rows.columns) == ["id", "review", "stars"]
        assert rows["stars"].tolist() == ["food", "music", "new class"]
        assert all(TEXTS[number] == text for number, text in zip(rows["id"], rows["review"], strict=True))
        assert typing.prompts[0] == "[1] food  [2] music  [3] sport > "
        assert typing.prompts[-1] == "[1] food  [2] music  [3] sport  [4] new class > "
        printed = capsys.readouterr().out
        assert "12 rows without a label; of the 12 chosen the model expects to get" in printed
        assert printed.count(" of 12 · ") == 5
        assert f"3 rows added to {output}; classes there: food 1 (33%), music 1 (33%), new class 1 (33%)" in printed

    def test_it_goes_on_where_it_ended(
        self, run: Path, pool: Path, tmp_path: Path, typed: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        output = tmp_path / "o.csv"
        typed(*["+other"] * 5)
        assert main(arguments(pool, run, output, "--next", "5")) == 0
        first = output.read_bytes()
        capsys.readouterr()
        typing = typed(*["4"] * 7)
        assert main(arguments(pool, run, output)) == 0
        assert len(typing.prompts) == 7
        assert typing.prompts[0] == "[1] food  [2] music  [3] sport  [4] other > "
        assert f"classes in {output}: other 5 (100%)" in capsys.readouterr().out
        assert output.read_bytes().startswith(first)
        assert sorted(pd.read_csv(output)["id"]) == list(range(12))
        message = fails(arguments(pool, run, output), capsys, progress=True)
        assert message == f"{pool}: every row has no text, or is in {output} already"

    @pytest.mark.parametrize("by", ["margin", "diversity", "both"])
    def test_the_criteria(
        self, run: Path, pool: Path, tmp_path: Path, typed: Any, by: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        found = []
        for name in ("a", "b"):
            typed(*["food"] * 4)
            assert main(arguments(pool, run, tmp_path / f"{name}.jsonl", "--next", "4", "--by", by, "--seed", "3")) == 0
            found.append((tmp_path / f"{name}.jsonl").read_text())
        assert found[0] == found[1]
        ids = [json.loads(line)["id"] for line in found[0].splitlines()]
        assert len(set(ids)) == 4
        if by == "margin":
            assert main(["predict", str(run), str(pool), "--output", str(tmp_path / "p.csv")]) == 0
            scores = pd.read_csv(tmp_path / "p.csv").filter(like="probability_").to_numpy()
            gaps = [sorted(row)[-1] - sorted(row)[-2] for row in scores]
            assert ids == [str(number) for number in np.argsort(gaps)[:4]]

    def test_at_each_prompt_all_answers_are_in_the_file(
        self, run: Path, pool: Path, tmp_path: Path, typed: Any
    ) -> None:
        output, rows = tmp_path / "o.csv", []
        typed(*["food"] * 6, "/u", "/u", at_prompt=lambda _: rows.append(output.exists() and output.read_bytes()))
        assert main(arguments(pool, run, output)) == 0
        assert rows[0] is False
        assert [content.count(b"\n") for content in rows[1:]] == [2, 3, 4, 5, 6, 7, 6, 5]
        assert rows[7:9] == [rows[5], rows[4]]
        assert output.read_bytes() == rows[4]

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_signals(
        self,
        run: Path,
        pool: Path,
        tmp_path: Path,
        typed: Any,
        number: int,
        code: int,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        typed("food", "sport", "music", at_prompt=lambda count: count == 3 and os.kill(os.getpid(), number))
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores Ctrl-C
        try:
            assert main(arguments(pool, run, tmp_path / "o.csv")) == code
        finally:
            signal.signal(signal.SIGINT, before)
        assert pd.read_csv(tmp_path / "o.csv")["stars"].tolist() == ["food", "sport"]
        captured = capsys.readouterr()
        assert "2 rows added to" in captured.out.splitlines()[-1]
        assert captured.err.splitlines()[-1] == "textmix: interrupted"

    def test_answers_from_a_pipe(
        self, run: Path, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stream = io.TextIOWrapper(io.BytesIO(b"food\r\n\n caf\xe9\n+caf\xe9\n\x1b[A\n 2 \nspor"), "utf-8")
        monkeypatch.setattr(sys, "stdin", stream)
        assert main(arguments(pool, run, tmp_path / "o.csv")) == 0
        assert pd.read_csv(tmp_path / "o.csv")["stars"].tolist() == ["food", "music"]
        printed = capsys.readouterr().out
        assert printed.count("the line has characters that are no text; type it again") == 3
        assert "no class 'spor'; did you mean 'sport'?; a new class begins with +, as in +spor" in printed
        assert "\x1b" not in printed
        assert printed.splitlines()[-1].startswith("2 rows added to")

    def test_a_label_in_the_pool_is_not_read(
        self, run: Path, tmp_path: Path, typed: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        source = csv_of(tmp_path / "p.csv", "review,stars\ngoal match,secret\n")
        typed("sport")
        assert main(arguments(source, run, tmp_path / "o.csv")) == 0
        assert (tmp_path / "o.csv").read_text() == "review,stars\ngoal match,sport\n"
        printed = capsys.readouterr().out
        assert "the column 'stars' of the pool is not read" in printed
        assert "secret" not in printed

    def test_hostile_texts_stay_whole_and_off_the_terminal(
        self, run: Path, tmp_path: Path, typed: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        texts = ["two\r\nlines", "bell\x07 \x1b[2J \u202e", 'a "quote",\t;', "word " * 10_000, "zwnj\u200cof", "\rlone"]
        rows = [{"review": text, "more": {"a": [number]}} for number, text in enumerate(texts)]
        source = tmp_path / "p.jsonl"
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))
        for name in ("o.csv", "o.jsonl"):
            typed(*["food"] * 6)
            assert main(arguments(source, run, tmp_path / name)) == 0
            printed = capsys.readouterr().out
            assert not any(character in printed for character in "\x07\x1b\u202e\r\t")
            assert "zwnj\u200cof" in printed
            assert "bell\\x07 \\x1b[2J \\u202e" in printed
            assert max(map(len, printed.splitlines())) < 2000
            message = fails(arguments(source, run, tmp_path / name), capsys, progress=True)
            assert "every row has no text, or is in" in message
        read = [json.loads(line)["review"] for line in (tmp_path / "o.jsonl").read_text().splitlines()]
        assert sorted(read) == sorted(texts)

    @pytest.mark.parametrize("kind", ["txt", "tsv", "parquet", "glob"])
    def test_pools_of_other_formats(self, run: Path, tmp_path: Path, typed: Any, kind: str) -> None:
        frame, path = pd.DataFrame({"review": TEXTS}), tmp_path / f"pool.{'txt' if kind == 'glob' else kind}"
        if kind == "parquet":
            frame.to_parquet(path)
        elif kind == "tsv":
            frame.to_csv(path, index=False, sep="\t")
        else:
            path.write_text("\n".join(TEXTS))
        typed("food")
        source = str(tmp_path / "po*.txt") if kind == "glob" else path
        assert main(arguments(source, run, tmp_path / "o.tsv")) == 0
        assert (tmp_path / "o.tsv").read_text().startswith("review\tstars\n")


class TestRefusals:
    def test_options(self, run: Path, pool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        before = snapshot(tmp_path)
        for more, words in (
            (["--next", "0"], ("--next", "at least 1", "0")),
            (["--seed", "-1"], ("--seed", "[0, 2**32)")),
            (["--by", "hope"], ('"by"', "margin")),
            (["--data.delimiter", "ab"], ("data.delimiter",)),
            (["--next", "5001"], ("--next", "at most 5000")),
        ):
            assert tells(fails(arguments(pool, run, tmp_path / "o.csv", *more), capsys), *words), more
        assert tells(fails(arguments("-", run, tmp_path / "o.csv"), capsys), "standard input")
        assert tells(fails(arguments(pool, run, tmp_path / "o.parquet"), capsys), ".csv, .tsv or .jsonl")
        assert snapshot(tmp_path) == before

    def test_inputs_are_not_written_to(
        self, run: Path, pool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = snapshot(run)
        link = tmp_path / "link.csv"
        link.symlink_to(pool)
        for output in (pool, link, run / "predictions.csv", run / "history.jsonl"):
            assert tells(fails(arguments(pool, run, output), capsys), "--output", "would overwrite", "choose another")
        assert "would overwrite" in fails(arguments(tmp_path / "po*.csv", run, pool), capsys)
        assert pool.read_text().count("\n") == 13
        assert snapshot(run) == before

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("", "is empty"),
            ("review\n", "no rows"),
            ('review\n" "\n', "every row has no text"),
            ("a,b\n1,2\n", "'review'"),
        ],
    )
    def test_pools_without_texts(
        self, run: Path, tmp_path: Path, content: str, message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        source = csv_of(tmp_path / "p.csv", content)
        assert message in fails(arguments(source, run, tmp_path / "o.csv"), capsys, progress=True)
        assert not (tmp_path / "o.csv").exists()

    def test_a_saved_data_set_without_rows(self, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        from datasets import Dataset, Features, Value

        Dataset.from_dict({"review": []}, Features({"review": Value("string")})).save_to_disk(tmp_path / "empty")
        assert str(tmp_path / "empty") in fails_quietly(arguments(tmp_path / "empty", run, tmp_path / "o.csv"), capsys)

    def test_a_file_that_does_not_fit(
        self, run: Path, pool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        output = tmp_path / "o.csv"
        for content in ("review,stars\na,food\n", "id,review\n1,a\n", 'id,review,stars\n1,"a\n'):
            output.write_text(content)
            assert str(output) in fails(arguments(pool, run, output), capsys)
            assert output.read_text() == content

    @pytest.mark.parametrize("task", ["multi_label", "regression", "token_classification"])
    def test_other_tasks(
        self, run: Path, pool: Path, tmp_path: Path, task: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        other = tmp_path / "run"
        other.mkdir()
        config = yaml.safe_load((run / "config.yaml").read_text())
        config["task"] = task
        config["train"]["metric"] = None
        (other / "config.yaml").write_text(yaml.safe_dump(config))
        message = fails(arguments(pool, other, tmp_path / "o.csv"), capsys)
        assert message == f"label asks for one class a row; the task of {other} is {task}"

    def test_runs_without_a_model(
        self, run: Path, pool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        other = tmp_path / "run"
        assert "no run at" in fails(arguments(pool, other, tmp_path / "o.csv"), capsys)
        other.mkdir()
        assert "is not a run" in fails(arguments(pool, other, tmp_path / "o.csv"), capsys)
        shutil.copy(run / "config.yaml", other)
        message = fails(arguments(pool, other, tmp_path / "o.csv"), capsys)
        assert tells(message, "no saved model at", "has the run finished?")
        assert not (tmp_path / "o.csv").exists()
