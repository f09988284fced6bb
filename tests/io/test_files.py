import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.full_disk import little_room
from textmix.errors import RunError
from textmix.io import files
from textmix.io.files import clear_leftovers, read_json, replacing, write_json, write_text

GONE = 2**22 + 1  # more than any process of Linux has for a number


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def write_directory(target: Path, content: str) -> None:
    with replacing(target) as temporary:
        temporary.mkdir()
        (temporary / "a").write_text(content)


def test_a_file_and_a_directory_replace_what_was_there(tmp_path: Path) -> None:
    for content in ("one", "two"):
        write_text(tmp_path / "file", content)
        write_directory(tmp_path / "directory", content)
    assert (tmp_path / "file").read_text() == (tmp_path / "directory" / "a").read_text() == "two"
    assert names(tmp_path) == {"file", "directory"}


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_what_fails_leaves_what_was_there(
    tmp_path: Path, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Path, content: str) -> None:
        raise error

    write_directory(tmp_path / "model", "old")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", fail)
        with pytest.raises(type(error)):
            write_directory(tmp_path / "model", "new")
    assert (tmp_path / "model" / "a").read_text() == "old"
    assert names(tmp_path) == {"model"}


def test_a_directory_is_back_where_it_was_when_the_last_step_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_directory(tmp_path / "model", "old")
    plain = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if ".new" in self.name:
            raise OSError(errno.EIO, "broken")
        return plain(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="broken"):
        write_directory(tmp_path / "model", "new")
    assert (tmp_path / "model" / "a").read_text() == "old"
    assert names(tmp_path) == {"model"}


def test_all_is_on_the_disk_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    plain = os.fsync

    def recording(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        events.append("the parent" if path == tmp_path else "the directory" if path.name[0] == "." else path.name)
        assert (tmp_path / "model").exists() == (path == tmp_path)
        plain(descriptor)

    monkeypatch.setattr(os, "fsync", recording)
    write_directory(tmp_path / "model", "new")
    assert events == ["a", "the directory", "the parent"]


class TestLeftovers:
    @pytest.fixture
    def killed(self, tmp_path: Path) -> Path:
        """What three killed processes leave: in the midst of a file, of a directory, and between two renames."""
        (tmp_path / f".out.csv.new{GONE}").write_text("half")
        (tmp_path / f".model.new{GONE}").mkdir()
        (tmp_path / f".model.old{GONE}").mkdir()
        (tmp_path / f".model.old{GONE}" / "a").write_text("whole")
        (tmp_path / ".keep").write_text("mine")
        return tmp_path

    def test_they_are_cleared_away_and_what_was_moved_is_put_back(self, killed: Path) -> None:
        clear_leftovers(killed)
        assert names(killed) == {"model", ".keep"}
        assert (killed / "model" / "a").read_text() == "whole"

    def test_writing_again_clears_those_of_that_name(self, killed: Path) -> None:
        write_text(killed / "out.csv", "new")
        assert names(killed) == {"out.csv", ".keep", f".model.new{GONE}", f".model.old{GONE}"}
        write_directory(killed / "model", "new")
        assert names(killed) == {"out.csv", ".keep", "model"}
        assert (killed / "model" / "a").read_text() == "new"

    def test_those_of_a_process_that_lives_stay(self, tmp_path: Path) -> None:
        other = tmp_path / f".out.csv.new{os.getppid()}"
        other.write_text("half")
        write_text(tmp_path / "out.csv", "new")
        assert other.exists()

    def test_an_old_directory_goes_when_the_new_one_is_there(self, killed: Path) -> None:
        (killed / "model").mkdir()
        clear_leftovers(killed)
        assert list((killed / "model").iterdir()) == []


def test_a_link_to_a_directory_is_replaced_and_what_it_leads_to_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious").write_text("mine")
    (tmp_path / "model").symlink_to(tmp_path / "elsewhere")
    write_directory(tmp_path / "model", "new")
    assert names(tmp_path) == {"elsewhere", "model"}
    assert names(tmp_path / "elsewhere") == {"precious"}
    assert not (tmp_path / "model").is_symlink()


class TestFullDisk:
    @pytest.fixture
    def full_disk(self) -> Iterator[None]:
        with little_room(4096):
            yield

    @pytest.mark.usefixtures("full_disk")
    def test_the_old_file_stays(self, tmp_path: Path) -> None:
        write_json(tmp_path / "metrics.json", {"a": 1})
        with pytest.raises(OSError, match="File too large"):
            write_json(tmp_path / "metrics.json", {"a": "x" * 5000})
        assert (tmp_path / "metrics.json").read_text() == '{\n  "a": 1\n}\n'
        assert names(tmp_path) == {"metrics.json"}

    @pytest.mark.usefixtures("full_disk")
    def test_what_rust_raises_becomes_the_error_that_it_is(self, tmp_path: Path) -> None:
        from tokenizers import Tokenizer
        from tokenizers.models import WordLevel

        tokenizer = Tokenizer(WordLevel({str(number): number for number in range(1000)}, unk_token="0"))
        with pytest.raises(OSError, match="File too large") as caught, replacing(tmp_path / "x.json") as temporary:
            tokenizer.save(str(temporary))
        assert caught.value.filename == str(tmp_path / "x.json")
        assert names(tmp_path) == set()


def test_a_file_system_that_cannot_flush_directories_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(descriptor: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(files.os, "fsync", refusing)
    write_text(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "new"


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"\xff", b"[]", b"{}", b'{"a": "x"}'])
def test_a_damaged_file_is_told_in_one_line(tmp_path: Path, content: bytes) -> None:
    write_json(tmp_path / "a.json", {"a": 1})
    assert read_json(tmp_path / "a.json", lambda value: int(value["a"])) == 1
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(RunError, match=r"^.*a\.json is damaged: [^\n]+$"):
        read_json(tmp_path / "a.json", lambda value: int(value["a"]))
