import pytest

from textmix.errors import RunError
from textmix.runs.launcher import check_launch, is_local_main_process, process_count

VARIABLES = ("WORLD_SIZE", "PMI_SIZE", "RANK", "LOCAL_RANK", "MASTER_PORT", "ACCELERATE_USE_CPU")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_a_process_that_was_started_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert process_count() == 1
    assert is_local_main_process()
    check_launch()


def test_processes_of_torchrun_and_of_mpi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("PMI_SIZE", "3")
    assert process_count() == 3
    assert not is_local_main_process()
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert process_count() == 4


def test_one_process_in_place_of_several_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    monkeypatch.setenv("MASTER_PORT", "29500")
    with pytest.raises(RunError, match=r"started one process.*--multi_gpu"):
        check_launch()
    monkeypatch.setenv("RANK", "0")
    check_launch()
