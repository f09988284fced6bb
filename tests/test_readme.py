import re
import shlex
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file

from tests.support.topics import topic_rows
from textmix.cli.main import main
from textmix.config.parsing import parse, run_parser, to_run_config
from textmix.config.run import RunConfig

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_example_runs(in_tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})  # it is ours
    assert re.search(r"MixPlan\(manifold at \S+, lam=\[", capsys.readouterr().out)
    from transformers import AutoModelForSequenceClassification

    assert AutoModelForSequenceClassification.from_pretrained(in_tmp_path / "my-model").config.pooling == "mean"


def test_the_comparison_runs(tmp_path: Path) -> None:
    """The command of the README, on the sample and for one epoch."""
    (command,) = re.findall(
        r"^    textmix (compare .* --seeds 10)$", README.split("## Does mixing help")[1], flags=re.M
    )
    recipe, *options = shlex.split(command)[1:]
    sample = ["--data.source", str(ROOT / "data" / "messages.csv"), "--train.epochs", "1", "--seeds", "1"]
    assert main(["compare", str(ROOT / recipe), *options, *sample, "--output_dir", str(tmp_path / "c")]) == 0
    assert len(list((tmp_path / "c").glob("*/seed-0/metrics.json"))) == 3


def test_the_file_map_names_what_is_there() -> None:
    table = README.split("## Files")[1]
    names = re.findall(r"`([\w./]+)`", table.split("Reading order")[0])
    folder = Path()
    for name in names:
        path = ROOT / name if (ROOT / name).exists() else ROOT / folder / name
        assert path.exists() or name == "make slow", name
        folder = Path(name).parent if "/" in name else folder


LAUNCHES = sorted(ROOT.glob("recipes/scale/*.yaml"))


@pytest.mark.parametrize("path", LAUNCHES, ids=lambda path: path.stem)
def test_configurations_of_accelerate_open_with_their_command_and_are_valid(path: Path) -> None:
    command = path.read_text().splitlines()[0]
    assert re.fullmatch(rf"# accelerate launch --config_file {path.relative_to(ROOT)} -m textmix train (\S+)", command)
    assert (ROOT / command.split()[-1]).is_file()
    assert load_config_from_file(str(path)).num_processes > 1


@pytest.mark.parametrize("path", sorted({*ROOT.glob("recipes/**/*.yaml")} - {*LAUNCHES}), ids=lambda path: path.stem)
def test_recipes_open_with_their_command_and_are_valid(path: Path) -> None:
    assert re.match(rf"# textmix (train|compare|crossval) {path.relative_to(ROOT)}\b", path.read_text())
    parser = run_parser("textmix train", "")
    assert isinstance(to_run_config(parser, parse(parser, ["--config", str(path)])), RunConfig)


def test_the_sample_data_trains(tmp_path: Path) -> None:
    """The command of data/README.md, for one epoch."""
    (command,) = re.findall(r"^    textmix (train .*)$", (ROOT / "data" / "README.md").read_text(), flags=re.MULTILINE)
    arguments = [str(ROOT / word) if word.startswith("data/") else word for word in command.split()]
    assert main([*arguments, "--train.epochs", "1", "--output_dir", str(tmp_path / "run")]) == 0


def test_the_competition_commands_run(in_tmp_path: Path) -> None:
    section = README.split("## Cross-validation and competitions")[1].split("\n## ")[0]
    commands = re.findall(r"^    textmix (.*)$", section, flags=re.MULTILINE)
    rows = [f"{number},{text[:9]},{text},{label}" for number, (text, label) in enumerate(topic_rows(60))]
    Path("train.csv").write_text("\n".join(["id,name,description,label", *rows]))
    Path("test.csv").write_text("\n".join(["id,name,description", *(row.rsplit(",", 1)[0] for row in rows[:7])]))
    for command in commands:
        arguments = [str(ROOT / word) if word.startswith("recipes/") else word for word in command.split()]
        more = ["--train.epochs", "1", "--folds", "2"] if arguments[0] == "crossval" else []
        assert main([*arguments, *more]) == 0
    for directory in ("word", "none", "ensemble"):
        lines = Path("runs", directory, "submission.csv").read_text().splitlines()
        assert [line.split(",")[0] for line in lines] == ["id", *map(str, range(7))]
