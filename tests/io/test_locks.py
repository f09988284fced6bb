import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from textmix.errors import RunError
from textmix.io.files import LOCK
from textmix.io.locks import locked
from textmix.io.run_directory import check_directory, run_lock


def holding(directory: Path) -> subprocess.Popen:
    """A process that holds the lock of a directory."""
    code = f"from pathlib import Path\nfrom textmix.io.locks import locked\nwith locked(Path({str(directory)!r})):\n"
    process = subprocess.Popen([sys.executable, "-c", code + "    print(flush=True); input()"], stdin=-1, stdout=-1)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_a_directory_is_locked_until_its_process_ends(tmp_path: Path) -> None:
    process = holding(tmp_path)
    with pytest.raises(RunError, match="another process is training in"), locked(tmp_path):
        pass
    process.kill()
    process.communicate()
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]
    check_directory(tmp_path, overwrite=False)  # what a killed process left is not in the way of a run
    with run_lock(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == [LOCK]
    assert not list(tmp_path.iterdir())


def test_a_lock_within_the_process_excludes_as_well(tmp_path: Path) -> None:
    with locked(tmp_path / "0.lock"):
        with pytest.raises(RunError, match=r"another process is training in .*0\.lock"), locked(tmp_path / "0.lock"):
            pass
        assert (tmp_path / "0.lock").exists()
    with locked(tmp_path / "0.lock"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_file_that_was_removed_while_it_was_opened_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acquire, tries = FileLock.acquire, []

    def late(lock: FileLock, *args: Any, **options: Any) -> Any:
        acquired = acquire(lock, *args, **options)
        tries.append(lock)
        if len(tries) == 1:
            (tmp_path / LOCK).unlink()
        return acquired

    monkeypatch.setattr(FileLock, "acquire", late)
    with locked(tmp_path):
        assert len(tries) == 2
        assert (tmp_path / LOCK).exists()


def test_whoever_waits_has_it_next_and_alone(tmp_path: Path) -> None:
    """The holder removes the lock file that others wait for: they must not take the removed one for the lock."""
    inside, most, turns = 0, 0, []
    guard = threading.Lock()

    def take(number: int) -> None:
        nonlocal inside, most
        for _ in range(5):
            with locked(tmp_path, wait=True):
                with guard:
                    inside += 1
                    most = max(most, inside)
                time.sleep(0.002)
                with guard:
                    inside -= 1
                turns.append(number)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert sorted(turns) == sorted([0, 1, 2, 3] * 5)
    assert not list(tmp_path.iterdir())
