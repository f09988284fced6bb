"""LabelForm: asks for the labels of rows, one line each."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from textmix.errors import nearest, one_line

if TYPE_CHECKING:
    from textmix.active_learning.candidates import Candidates
    from textmix.active_learning.labeled_file import LabeledFile

SKIP, UNDO, QUIT = "/s", "/u", "/q"
# Characters of a text and of the name of a class that are shown.
_TEXT, _NAME = 1500, 60
# Classes that are offered for each row: of more, the likeliest.
_SHOWN = 20


class _Answer(NamedTuple):
    """What was typed: a command, or else a class."""

    command: str | None
    label: str = ""


class LabelForm:
    """Asks for the labels of rows.

    Args:
        file: Where they are written.
        names: The classes, those of the model first.
        read: Prints a prompt and reads a line.

    Attributes:
        written: Number of rows that were added and not taken back.
    """

    def __init__(self, file: "LabeledFile", names: Sequence[str], read: Callable[[str], str]) -> None:
        self._file, self._names, self._read = file, list(names), read
        self.written = 0

    def ask(self, found: "Candidates", numbers: Sequence[int], why: Sequence[str]) -> None:
        """Ask for each row until the end of the rows or of the input; each answer is on disk before the next.

        Args:
            found: The rows.
            numbers: Numbers of those to ask for, in their order.
            why: Why each of these was chosen.

        Raises:
            OSError: If an answer cannot be written.
            RunError: If another program has changed the file before an answer is taken back.
        """
        print(f"answer with a class or its number, {SKIP} to skip, {UNDO} to undo, {QUIT} to quit, +name for a class")
        if len(self._names) > _SHOWN:
            print("classes: " + "  ".join(self._offers(range(len(self._names)))))
        place = 0
        answered: list[bool] = []  # of each row so far, whether it was written
        while place < len(numbers):
            row = numbers[place]
            print(f"\n{place + 1} of {len(numbers)} · {why[place]}")
            print("\n".join(f"  {one_line(text, _TEXT)}" for text in found.texts[row]))
            answer = self._answer(found.probabilities[row].tolist())
            if answer.command == QUIT:
                return
            if answer.command == UNDO:
                if answered:
                    self.written -= answered[-1] and self._file.undo()
                    answered.pop()
                    place -= 1
                else:
                    print("nothing to undo")
                continue
            if answer.command is None:
                self._file.add(found.rows[row], answer.label)
                self.written += 1
            answered.append(answer.command is None)
            place += 1

    def _answer(self, probabilities: list[float]) -> _Answer:
        """Read a class or a command; asks again until there is one. The end of the input quits."""
        places: Sequence[int] = range(len(self._names))
        if len(places) > _SHOWN:
            places = sorted(range(len(probabilities)), key=lambda place: -probabilities[place])[:_SHOWN]
        prompt = "  ".join(self._offers(places)) + " > "
        while True:
            try:
                typed = self._read(prompt).strip()
            except EOFError:
                return _Answer(QUIT)
            if typed in (SKIP, UNDO, QUIT):
                return _Answer(typed)
            if label := self._label(typed):
                return _Answer(None, label)
            if not typed.isprintable():
                print("the line has characters that are no text; type it again")
            elif typed.startswith("+") and typed[1:].strip():
                self._names.append(typed[1:].strip())
                return _Answer(None, self._names[-1])
            elif typed:
                shown = one_line(typed, _NAME)
                print(f"no class '{shown}'{nearest(typed, self._names)}; a new class begins with +, as in +{shown}")

    def _label(self, typed: str) -> str | None:
        """Return the class that is meant by its name, with or without +, or by its number."""
        if typed in self._names:
            return typed
        if typed.startswith("+") and typed[1:].strip() in self._names:
            return typed[1:].strip()
        number = int(typed) if self._numbered and typed.isdecimal() and len(typed) < 10 else 0
        return self._names[number - 1] if 0 < number <= len(self._names) else None

    @property
    def _numbered(self) -> bool:
        """Whether classes may be given by number: not where some are numbers themselves."""
        return not any(map(_is_number, self._names))

    def _offers(self, places: Sequence[int]) -> Iterator[str]:
        numbered = self._numbered
        for place in places:
            name = one_line(self._names[place], _NAME)
            yield f"[{place + 1}] {name}" if numbered else name


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True
