"""The public names of textmix."""

import subprocess
import sys

import pytest

import textmix
from textmix.errors import one_line


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_importing_it_loads_no_torch() -> None:
    assert run("import sys, textmix, textmix.mixing; print({'torch', 'transformers'} & set(sys.modules))") == "set()\n"


@pytest.mark.parametrize("name", textmix.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(textmix, name) is not None
    assert name in dir(textmix)


def test_a_message_is_one_line_of_printable_characters() -> None:
    assert one_line("a\n  b\x1b[31m\x00 \u202ec é猫") == "a b\\x1b[31m\\x00 \\u202ec é猫"
    long = one_line("wrong: " + "x" * 10_000 + " at the end")
    assert len(long) < 2100
    assert long.startswith("wrong: ")
    assert long.endswith(" at the end")
