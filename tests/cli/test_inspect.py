"""`textmix inspect` as its users meet it: what it prints, as text and as JSON, and what it refuses."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from transformers import BertModel

from tests.support.commands import QUICK, csv_of, fails_quietly, snapshot
from tests.support.family_configs import bert_config
from tests.support.nursery import Nursery
from tests.support.topics import topic_rows
from textmix.cli.main import main
from textmix.mixing.registry import STRATEGIES
from textmix.models.words.tokenizer_training import train_tokenizer


@pytest.fixture(scope="module")
def source(run: Path) -> str:
    return str(run.parent / "topics.csv")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A directory with a tiny BERT and its tokenizer."""
    directory = tmp_path_factory.mktemp("encoder")
    tokenizer = train_tokenizer([text for text, _ in topic_rows(90)])
    config = bert_config()
    config.vocab_size = len(tokenizer)
    BertModel(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return str(directory)


def pairs_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert main(["inspect", *arguments, "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def shown(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["inspect", *arguments]) == 0
    return capsys.readouterr().out


class TestJson:
    @pytest.mark.parametrize("strategy", sorted(set(STRATEGIES) - {"none"}))
    def test_every_strategy_of_a_run(
        self, strategy: str, run: Path, source: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        choices = ["--mix.any.choices", "{ssmix: 1, multi: 1}"] if strategy == "any" else []
        pairs = pairs_of([str(run), source, "--strategy", strategy, *choices, "-n", "3"], capsys)
        assert len(pairs) == 3
        labels = dict(topic_rows(90))
        for pair in pairs:
            assert pair["strategy"] in ({"ssmix", "multi"} if strategy == "any" else {strategy})
            assert sum(pair["target"].values()) == pytest.approx(1)
            assert all(row["label"] == labels[row["text"]] for row in pair["rows"])
            assert sum(row["weight"] for row in pair["rows"]) == pytest.approx(1)
            assert pair["lam"] == pytest.approx(pair["rows"][0]["weight"])
            if pair["site"] == "tokens":
                tokens = [position["token"] for position in pair["positions"] if position["token"] is not None]
                assert pair["mixed_text"] == " ".join(tokens)

    @pytest.mark.slow
    def test_a_program_reads_nothing_else_on_standard_output(
        self, run: Path, source: str, nursery: Nursery, tmp_path: Path
    ) -> None:
        files = {"stdout": tmp_path / "output", "stderr": tmp_path / "errors"}
        assert nursery.run(["inspect", str(run), source, "--strategy=cutmix", "--json"], **files) == 0
        assert [sorted(json.loads(line)) for line in files["stdout"].read_text().splitlines()] == [
            sorted(("step", "strategy", "site", "lam", "rows", "target", "positions", "mixed_text", "nearest", "note"))
        ] * 5
        assert files["stderr"].read_text() == ""

    def test_a_seed_fixes_what_is_drawn(self, run: Path, source: str, capsys: pytest.CaptureFixture[str]) -> None:
        base = [str(run), source, "--strategy", "cutmix"]
        assert pairs_of([*base, "--seed", "7"], capsys) == pairs_of([*base, "--seed", "7"], capsys)
        assert pairs_of([*base, "--seed", "7"], capsys) != pairs_of([*base, "--seed", "8"], capsys)


@pytest.fixture(scope="module")
def cutting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that cuts embeddings, with λ fixed."""
    directory = tmp_path_factory.mktemp("cutting")
    source = csv_of(directory / "t.csv", "text,label\n" + "".join(f"{t},{c}\n" for t, c in topic_rows(60)))
    mix = [
        "--mix.strategy",
        "cutmix",
        "--mix.cutmix.level",
        "embeddings",
        "--mix.lam",
        "fixed",
        "--mix.lam_value",
        "0.5",
    ]
    arguments = ["train", "--data.source", source, *QUICK, *mix, "--train.epochs", "1"]
    assert main([*arguments, "--output_dir", str(directory / "run")]) == 0
    return directory / "run"


class TestOptions:
    def test_the_mixing_of_the_run_is_the_default(self, cutting: Path, capsys: pytest.CaptureFixture[str]) -> None:
        pairs = pairs_of([str(cutting), str(cutting.parent / "t.csv")], capsys)
        assert {(pair["strategy"], pair["site"]) for pair in pairs} == {("cutmix", "embeddings")}
        assert all(0.4 < pair["lam"] < 0.6 for pair in pairs)

    def test_options_override_the_run_s(self, cutting: Path, capsys: pytest.CaptureFixture[str]) -> None:
        base = [str(cutting), str(cutting.parent / "t.csv")]
        assert all(0.7 < pair["lam"] < 0.9 for pair in pairs_of([*base, "--mix.lam_value", "0.8"], capsys))
        (pair,) = pairs_of([*base, "--mix.cutmix.level", "tokens", "--count", "1"], capsys)
        assert (pair["site"], pair["strategy"]) == ("tokens", "cutmix")

    def test_what_means_nothing_to_another_strategy_is_left_out(
        self, cutting: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        pairs = pairs_of([str(cutting), str(cutting.parent / "t.csv"), "--strategy", "word"], capsys)
        assert all((pair["strategy"], pair["lam"]) == ("word", 0.5) for pair in pairs)

    def test_the_short_form_is_the_long_one(self, run: Path, source: str, capsys: pytest.CaptureFixture[str]) -> None:
        forms = (["--strategy", "sentence"], ["--strategy=sentence"], ["--mix.strategy", "sentence"])
        first, *others = (pairs_of([str(run), source, *form], capsys) for form in forms)
        assert first[0]["strategy"] == "sentence"
        assert all(other == first for other in others)

    def test_columns_are_the_run_s_or_given(
        self, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = csv_of(tmp_path / "n.csv", "words,kind\ngoal match,sport\nsoup bread,food\n")
        columns = ["--data.text_column", "words", "--data.label_column", "kind"]
        pairs = pairs_of([str(run), path, *columns], capsys)
        assert [sorted(row["text"] for row in pair["rows"]) for pair in pairs] == [["goal match", "soup bread"]] * 2

    def test_length_and_batch(self, run: Path, source: str, capsys: pytest.CaptureFixture[str]) -> None:
        options = ["--strategy", "batch", "--batch_size", "4", "--max_length", "2"]
        for pair in pairs_of([str(run), source, *options], capsys):
            assert [len(row["tokens"]) for row in pair["rows"]] == [2] * 4


class TestModels:
    def test_a_model_gets_a_fresh_classifier(
        self, encoder: str, source: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        columns = ["--data.text_column", "review", "--data.label_column", "stars"]
        pairs = pairs_of([encoder, source, *columns, "-n", "12"], capsys)
        assert {pair["strategy"] for pair in pairs} == {"sentence"}
        assert {pair["site"] for pair in pairs} == {"pooled"}
        assert "its saliency means little" in shown([encoder, source, *columns, "--strategy", "ssmix"], capsys)

    def test_the_model_of_a_run_keeps_its_own(self, run: Path, source: str, capsys: pytest.CaptureFixture[str]) -> None:
        columns = ["--data.text_column", "review", "--data.label_column", "stars"]
        options = ["--strategy", "ssmix", "--mix.lam", "fixed", "--batch_size", "8"]
        of_model = pairs_of([str(run / "model"), source, *columns, *options], capsys)
        assert of_model == pairs_of([str(run), source, *options], capsys)


class TestText:
    def test_token_level(
        self, run: Path, source: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "160")
        options = [str(run), source, "--strategy", "cutmix", "--mix.lam", "fixed", "-n", "2"]
        pairs = pairs_of(options, capsys)
        text = shown(options, capsys)
        assert "\x1b" not in text
        for number, pair in enumerate(pairs, start=1):
            own, partner = pair["rows"]
            assert f"{number}: cutmix at tokens, λ {pair['lam']:.2f}" in text
            assert re.search(rf"^own +{own['weight']:.2f} +{own['label']} +{own['text']} *$", text, re.MULTILINE)
            assert re.search(rf"^partner +.* +{partner['label']} +{partner['text']} *$", text, re.MULTILINE)
            target = " · ".join(f"{name} {weight:.2f}" for name, weight in pair["target"].items())
            assert re.search(rf"^target +{target} *$", text, re.MULTILINE)
            # The partner's tokens stand between brackets; without them, the line is the mixed text.
            written = re.search(rf"\n{number}: .*?^mixed +(.*?) *$", text, re.MULTILINE | re.DOTALL)
            assert written is not None
            assert re.sub("[‹›] ?", "", written[1]).strip() == pair["mixed_text"]
            inside = " ".join(re.findall("‹ (.*?) ›", written[1]))
            foreign = [position["token"] for position in pair["positions"] if position["origin"] == "partner"]
            assert inside == " ".join(foreign) != ""

    def test_hidden_sites(
        self, run: Path, source: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        options = [str(run), source, "--strategy", "word", "-n", "1"]
        (pair,) = pairs_of(options, capsys)
        for columns in ("200", "40"):
            monkeypatch.setenv("COLUMNS", columns)
            text = shown(options, capsys).split("\n\n", 2)[-1]
            lines = [line for line in text.splitlines() if re.match("own|partner|nearest|second", line)]
            assert max(map(len, lines)) <= int(columns)
            words: dict[str, list[str]] = {}
            for line in lines:
                label, *rest = line.split()
                words.setdefault(label, []).extend(rest)
            positions = pair["positions"]
            assert words["own"] == [position["parts"][0] or "·" for position in positions]
            assert words["partner"] == [position["parts"][1] or "·" for position in positions]
            assert words["nearest"] == [position["nearest"][0]["token"] for position in positions]
            assert words["second"] == [position["nearest"][1]["token"] for position in positions]
            assert "nearest tokens by cosine" in " ".join(text.split())

    def test_of_many_rows_the_heaviest_are_shown(
        self, run: Path, source: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        options = [str(run), source, "--strategy", "batch", "-n", "1", "--batch_size", "9"]
        (pair,) = pairs_of(options, capsys)
        rest = sum(row["weight"] for row in pair["rows"][4:])
        assert f"and 5 more rows with a total weight of {rest:.2f}" in shown(options, capsys)

    def test_a_row_without_a_partner_is_said_so(
        self, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = csv_of(tmp_path / "n.csv", "review,stars\ngoal,sport\nsoup,food\n")
        text = shown([str(run), path, "--strategy", "word", "--mix.partner", "same_class"], capsys)
        assert "none in this batch satisfies mix.partner" in " ".join(text.split())

    def test_what_would_steer_the_terminal_is_left_out(
        self, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = csv_of(tmp_path / "n.csv", "review,stars\n\x1b[2Jgoal [bold]match,sport\nsoup,food\n")
        text = shown([str(run), path, "--strategy", "word"], capsys)
        assert "\x1b" not in text
        assert "[bold]match" in text

    @pytest.mark.parametrize(("variables", "coloured"), [(["FORCE_COLOR"], True), (["FORCE_COLOR", "NO_COLOR"], False)])
    def test_colours(
        self,
        variables: list[str],
        coloured: bool,
        run: Path,
        source: str,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """FORCE_COLOR is for rich what a terminal is."""
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.setenv("TERM", "xterm")
        for variable in variables:
            monkeypatch.setenv(variable, "1")
        text = shown([str(run), source, "--strategy", "cutmix", "-n", "1"], capsys)
        assert ("\x1b[36m" in text, "\x1b[35m" in text) == (coloured, coloured)


class TestWrongInput:
    def test_one_line_exit_code_2_and_nothing_written(
        self, run: Path, source: str, encoder: str, in_tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        single = csv_of(in_tmp_path / "one.csv", "review,stars\ngoal,sport\n")
        other = csv_of(in_tmp_path / "other.csv", "review,stars\ngoal,sport\ncar,traffic\n")
        Path("empty").mkdir()
        cases = {
            (): r"the following arguments are required: .*run_or_model",
            (str(run),): r"the following arguments are required: source$",
            (str(run), "missing.csv"): r"no file at 'missing\.csv'",
            (
                "nowhere",
                source,
            ): r"no model 'nowhere' \(built in: minilm, textcnn, textrnn, fasttext; or a directory, or a hub id\)",
            ("empty", source): r"no model 'empty'",
            ("textcnn", source): r"textcnn has no vocabulary until it is trained; give the directory of a run",
            (str(run), source, "--strategy", "cutmx"): r"unknown mix\.strategy 'cutmx'; did you mean 'cutmix'\?",
            (str(run), source, "--strategy", "none"): r"strategy 'none' mixes nothing",
            (str(run), source, "--strategy", "any"): r"mix\.strategy any needs mix\.any\.choices",
            (str(run), source, "--strategy"): r".*mix\.strategy",
            (str(run), source, "--mix.alpha", "-1"): r"mix\.alpha must be",
            (
                str(run),
                source,
                "--mix.batch.temperature",
                "2",
            ): r"mix\.batch\.temperature has no effect with",
            (
                str(run),
                source,
                "--strategy",
                "manifold",
                "--mix.manifold.layers",
                "[9]",
            ): r"TextCNN has no site layer:9",
            (str(run), source, "--mix.class_counts", "[1]"): r"mix\.class_counts has 1 numbers for the 3 classes",
            (str(run), source, "-n", "0"): r"--count must be at least 1, not 0",
            (str(run), source, "-n", "many"): r'Parser key "count": .* Got value: many$',
            (str(run), source, "--batch_size", "1"): r"--batch_size must be at least 2, not 1",
            (str(run), source, "--max_length", "0"): r"--max_length must lie between 1, .* and 512, .*, not 0",
            (str(run), source, "--max_length", "513"): r"--max_length must lie between 1, .* and 512, .*, not 513",
            (encoder, source, "--max_length", "65", "--data.text_column", "review", "--data.label_column", "stars"): (
                r"--max_length must lie between 1, .* and 64, .*, not 65"
            ),
            (str(run), source, "--seed", "-1"): r"--seed must lie in \[0, 2\*\*32\), not -1",
            (str(run), source, "--colour"): r"unknown option --colour",
            (str(run), source, "more"): r"unrecognized arguments: more$",
            (str(run), source, "--data.text_column", "txt"): r"topics: no column 'txt'",
            (encoder, source): r"topics: no column 'text'",
            (str(run), single): r"a single row has no partner; inspect needs at least two",
            (str(run), other): r"other: 1 labels that training never saw: 'traffic'",
        }
        before = snapshot(in_tmp_path), snapshot(run)
        for arguments, pattern in cases.items():
            message = fails_quietly(["inspect", *arguments], capsys)
            assert re.match(pattern, message), (arguments, message)
        assert (snapshot(in_tmp_path), snapshot(run)) == before


def test_help_explains_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["inspect", "--help"])
    assert caught.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for name in ("--strategy", "-n", "--count", "--seed", "--max_length", "--batch_size", "--json", "--mix.alpha"):
        assert f"{name} " in text or f"{name}," in text, name
    for key in ("mixed_text", "positions", "target", "lam", "nearest"):
        assert key in text
