"""Bad input gets one line and exit code 2, and nothing is lost. benchmarks/robustness/fuzz.py tries more of it."""

import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.hostile import QUICK, make_case
from tests.support.hostile_tables import ROWS, write_rows
from textmix.cli.main import main

LIMIT = 60


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the columns text and label."""
    directory = tmp_path_factory.mktemp("fuzz")
    write_rows(directory / "d.csv", ROWS)
    arguments = ["train", "--data.source", str(directory / "d.csv"), *QUICK, "--output_dir", str(directory / "run")]
    assert main(arguments) == 0
    return directory / "run"


@pytest.fixture(autouse=True)
def _no_hanging() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"it takes more than {LIMIT} seconds")

    previous = signal.signal(signal.SIGALRM, stop)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


def contents(directory: Path) -> dict[str, bytes | str]:
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else "no file"
        for path in sorted(directory.rglob("*"))
    }


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(number=st.integers(0, 2**32))
@pytest.mark.slow
def test_bad_input_gets_one_line_and_loses_nothing(
    number: int,
    finished: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    directory = tmp_path_factory.mktemp("case")
    monkeypatch.chdir(directory)
    case = make_case(number, directory, finished)
    before = contents(directory)
    capsys.readouterr()
    signal.alarm(LIMIT)
    code = main(case.arguments)
    signal.alarm(0)
    errors = capsys.readouterr().err.replace("\r", "\n").splitlines()
    assert code in (0, 2), case
    if code == 2:
        if "lower train.learning_rate" not in errors[-1]:  # found in the middle of training, whose files stay
            assert contents(directory) == before, case
        assert errors[-1].startswith("textmix: error: "), (case, errors)
        assert len(errors[-1]) < 5000, case
