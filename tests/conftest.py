"""Shared fixtures. Models are tiny and built from configs; no test needs a network."""

import gc
import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState

# Workers of pytest-xdist share the cores; more threads each only get in each other's way.
torch.set_num_threads(1)

from tests.support.batches import Batch, ragged_batch  # noqa: E402
from tests.support.nursery import Nursery  # noqa: E402
from tests.support.topics import topic_rows  # noqa: E402


def pytest_collection_finish() -> None:
    """Exclude what is alive by now from garbage collection: accelerate collects at the end of each training."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one worker have all tests of the nursery: it takes ten seconds to start."""
    for item in items:
        if "nursery" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("nursery"))


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Runs programs in processes of their own that need not import anything."""
    with Nursery(tmp_path_factory.mktemp("nursery") / "log") as nursery:
        yield nursery


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the device of the tests marked gpu."""
    parser.addoption("--device", default="cuda", help="device of the tests marked gpu; cpu rehearses them")


@pytest.fixture(autouse=True)
def _no_accelerator_left() -> Iterator[None]:
    """Forget the accelerator of a test: its precision would bind every later one of the process."""
    yield
    AcceleratorState._reset_state()
    for name in [name for name in os.environ if name.startswith("ACCELERATE_")]:
        del os.environ[name]  # in which the Trainer of transformers 4 notes its precision and compilation


@pytest.fixture
def ragged() -> Batch:
    """Five rows of different lengths, padded on the right, with labels."""
    return ragged_batch()


@pytest.fixture
def topics_csv(tmp_path: Path) -> Path:
    """A csv file with 90 texts of three topics."""
    path = tmp_path / "topics.csv"
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in topic_rows(90)))
    return path


@pytest.fixture
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run the test in an empty directory of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
