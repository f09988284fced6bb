"""A run directory that comes from elsewhere can neither run code nor write outside itself."""

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import BertForSequenceClassification

from tests.support.commands import SMALL, fails, fails_quietly, snapshot, tells
from tests.support.family_configs import bert_config
from tests.support.topics import topic_rows
from tests.support.versions import HAS_EXPORTER
from textmix.cli.main import main
from textmix.models.words.tokenizer_training import train_tokenizer

CODE = """
from pathlib import Path
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

Path({fuse!r}).touch()

class StrangeConfig(BertConfig):
    model_type = "strange"

class StrangeModel(BertForSequenceClassification):
    config_class = StrangeConfig

class StrangeTokenizer(PreTrainedTokenizerFast):
    pass
"""


@pytest.fixture
def foreign(run: Path, tmp_path: Path) -> Path:
    """A finished run from elsewhere."""
    return Path(shutil.copytree(run, tmp_path / "foreign"))


@pytest.fixture
def texts(tmp_path: Path) -> str:
    (tmp_path / "texts.csv").write_text("review\na goal\n")
    return str(tmp_path / "texts.csv")


class Bomb:
    def __init__(self, fuse: Path) -> None:
        self.fuse = fuse

    def __reduce__(self) -> Any:
        return (Path.touch, (self.fuse,))


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_pickled_weights_are_refused(
    foreign: Path, texts: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (foreign / "model" / "model.safetensors").unlink()
    (foreign / "model" / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(tmp_path / "fuse")))
    message = fails(["predict", str(foreign), texts], capsys)
    assert message == (
        f"cannot load the model at {foreign}/model: it has no model.safetensors; pickled weights can run code and are"
        " not loaded"
    )
    assert not (tmp_path / "fuse").exists()


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("known", [True, False], ids=["a known type", "a type of its own"])
def test_code_beside_a_model_does_not_run(
    foreign: Path, texts: str, tmp_path: Path, file: str, known: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    (foreign / "model" / "strange.py").write_text(CODE.format(fuse=str(tmp_path / "fuse")))
    classes = {"AutoConfig": "StrangeConfig", "AutoModelForSequenceClassification": "StrangeModel"}
    changes: dict[str, Any] = {"auto_map": {name: f"strange.{kind}" for name, kind in classes.items()}}
    if not known:
        changes["model_type"] = "strange"
    if file == "tokenizer_config.json":
        changes = {"auto_map": {"AutoTokenizer": [None, "strange.StrangeTokenizer"]}}
        changes["tokenizer_class"] = "PreTrainedTokenizerFast" if known else "StrangeTokenizer"
    edit(foreign / "model" / file, **changes)
    capsys.readouterr()
    code = main(["predict", str(foreign), texts])
    captured = capsys.readouterr()
    assert not (tmp_path / "fuse").exists()
    if known:
        assert (code, captured.err) == (0, "")
    else:
        assert code == 2
        assert "it contains Python code; if you trust it, add --model.trust_remote_code true" in captured.err
        assert len(captured.err.splitlines()) == 1


@pytest.mark.parametrize(
    "line",
    [
        "model: !!python/object/apply:pathlib.Path.touch [FUSE]",
        "mix: {class_path: pathlib.Path, init_args: {args: FUSE}}",
        "train: {class_path: subprocess.Popen, init_args: {args: [touch, FUSE]}}",
    ],
)
@pytest.mark.parametrize("command", ["train", "resume", "predict"])
def test_a_configuration_makes_no_objects(
    foreign: Path, texts: str, tmp_path: Path, line: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fuse = tmp_path / "fuse"
    (foreign / "metrics.json").unlink()
    (foreign / "config.yaml").write_text(f"data: {{source: {texts}}}\n{line.replace('FUSE', str(fuse))}\n")
    arguments = {
        "train": ["train", str(foreign / "config.yaml"), "--output_dir", str(tmp_path / "new")],
        "resume": ["train", "--resume", str(foreign)],
        "predict": ["predict", str(foreign), texts],
    }
    fails(arguments[command], capsys)
    assert not fuse.exists()


def test_it_is_resumed_where_it_is_not_where_it_says(foreign: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((foreign / "config.yaml").read_text())
    config["output_dir"] = str(tmp_path / "elsewhere")
    (foreign / "config.yaml").write_text(yaml.safe_dump(config))
    (foreign / "metrics.json").unlink()
    (tmp_path / "precious").write_text("mine")
    (foreign / "history.jsonl").unlink()
    (foreign / "history.jsonl").symlink_to(tmp_path / "precious")
    assert main(["train", "--resume", str(foreign)]) == 0
    assert not (tmp_path / "elsewhere").exists()
    assert (tmp_path / "precious").read_text() == "mine"
    assert (foreign / "metrics.json").is_file()


@pytest.mark.parametrize("name", ["checkpoints", "evaluations"])
def test_links_out_of_it_are_refused(
    foreign: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "elsewhere").mkdir()
    shutil.rmtree(foreign / name, ignore_errors=True)
    (foreign / name).symlink_to(tmp_path / "elsewhere")
    (foreign / "metrics.json").unlink()
    arguments = ["train", "--resume", str(foreign)] if name == "checkpoints" else ["evaluate", str(foreign)]
    assert tells(fails_quietly(arguments, capsys), f"{foreign}/{name}", "out of the run", "directory")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_names_from_data_and_configuration_stay_inside(in_tmp_path: Path) -> None:
    inside = in_tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    labels = {"food": "../../../up", "sport": "/etc/absolute", "music": "a/b\\c"}
    rows = "".join(f"{text},{labels[label]}\n" for text, label in topic_rows(60))
    source = inside / "..evil.. x.csv"
    source.write_text(f"text,label\n{rows}")
    before = set(snapshot(in_tmp_path))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(inside)
        assert main(["train", "--data.source", source.name, *SMALL, "--train.epochs", "1"]) == 0
        (directory,) = (inside / "runs").iterdir()
        assert main(["evaluate", str(directory), "--data.source", source.name]) == 0
    assert all(name.startswith(str(directory)) for name in set(snapshot(in_tmp_path)) - before)
    assert directory.parent == inside / "runs"


class TestTrust:
    @pytest.fixture
    def strange(self, tmp_path: Path) -> Path:
        """A checkpoint with an architecture of its own."""
        directory = tmp_path / "strange"
        BertForSequenceClassification(bert_config()).save_pretrained(directory)
        train_tokenizer([text for text, _ in topic_rows(90)], vocab_size=60).save_pretrained(directory)
        (directory / "strange.py").write_text(CODE.format(fuse=str(tmp_path / "fuse")))
        classes = {"AutoConfig": "StrangeConfig", "AutoModelForSequenceClassification": "StrangeModel"}
        auto_map = {name: f"strange.{kind}" for name, kind in classes.items()}
        edit(directory / "config.json", model_type="strange", auto_map=auto_map)
        return directory

    @pytest.mark.slow
    def test_only_the_command_line_can_ask_for_it(
        self, strange: Path, topics_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        recipe, fuse, run = tmp_path / "recipe.yaml", tmp_path / "fuse", tmp_path / "run"
        model = {"name": str(strange), "head": "native"}
        train = {"epochs": 1, "max_grad_norm": 1.0}
        recipe.write_text(yaml.safe_dump({"data": {"source": str(topics_csv)}, "model": model, "train": train}))
        arguments = ["train", str(recipe), "--output_dir", str(run)]
        assert "it contains Python code; if you trust it, add" in fails(arguments, capsys)
        recipe.write_text(recipe.read_text().replace("head:", "trust_remote_code: true\n  head:"))
        assert "the file sets model.trust_remote_code, which runs code that comes with" in fails(arguments, capsys)
        assert not fuse.exists()

        trust = ["--model.trust_remote_code", "true"]
        assert main([*arguments, *trust]) == 0
        assert fuse.exists()
        fuse.unlink()
        (run / "metrics.json").unlink()
        commands = [
            ["train", "--resume", str(run)],
            ["predict", str(run), str(topics_csv)],
            ["evaluate", str(run)],
            ["inspect", str(run), str(topics_csv), "-n", "1", "--strategy", "word"],
            *([["export", str(run)]] if HAS_EXPORTER else []),
        ]
        for command in commands:
            assert "the file sets model.trust_remote_code" in fails(command, capsys)
            assert main([*command, *trust]) == 0

    def test_it_needs_the_native_head(self, topics_csv: Path, capsys: pytest.CaptureFixture[str]) -> None:
        arguments = ["train", "--data.source", str(topics_csv), "--model.trust_remote_code", "true"]
        assert "model.trust_remote_code needs model.head native" in fails(arguments, capsys)
