"""`textmix label`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jsonargparse import ArgumentParser

from textmix.cli.common import add_reading_options, command_parser
from textmix.config.parsing import parse, read_run_config
from textmix.data.reading import Reading
from textmix.errors import ConfigError, DataError, did_you_mean
from textmix.io.inputs import refuse_overwriting
from textmix.io.quiet import quiet_libraries

if TYPE_CHECKING:
    from textmix.active_learning.candidates import Candidates
    from textmix.active_learning.labeled_file import LabeledFile

SKIP, UNDO, QUIT = "/s", "/u", "/q"
# Classes that are shown with a number.
_SHOWN = 20


def label(arguments: list[str]) -> None:
    """Choose the rows that are worth labelling next, and ask for their labels."""
    options = parse(_parser(), arguments)
    if options["next"] < 1:
        raise ConfigError(f"--next must be at least 1, not {options['next']}")
    config = read_run_config(Path(options["run"]))
    if config.task not in ("auto", "single_label") or len(config.data.label_columns) > 1:
        raise ConfigError(f"label asks for one class a row; the task of {options['run']} is {config.task}")
    given = {name: value for name, value in options["data"].items() if value}
    reading = Reading.of(**{**config.data.reading_options(options["pool"]), **given})
    if wrong := reading.wrong():
        raise ConfigError("; ".join(wrong))
    output = Path(options["output"])
    refuse_overwriting(output, [options["pool"]], "--output")

    quiet_libraries()
    from tqdm.auto import tqdm

    from textmix.active_learning.candidates import find_candidates, reasons
    from textmix.active_learning.choice import choose_rows
    from textmix.active_learning.labeled_file import LabeledFile
    from textmix.data.windows import open_source
    from textmix.inference.predictor import Predictor

    texts = config.data.text_columns
    source = open_source(options["pool"], texts, reading)
    windows = iter(source.windows)
    first = next(windows)
    file = LabeledFile(output, texts, config.data.label_columns[0], first.column_names)
    predictor = Predictor.from_pretrained(options["run"], text_columns=texts)
    with tqdm(total=source.size, unit="row") as bar:
        every = (window for part in ([first], windows) for window in part)
        found = find_candidates(predictor, every, file.texts, options["by"], options["seed"], bar.update)
    if not found.rows:
        raise DataError(f"{options['pool']}: every row has no text, or is in {output} already")
    numbers = choose_rows(options["by"], found.probabilities, found.vectors, options["next"], options["seed"])
    _print_gain(found, numbers)
    form = _Form(file, predictor.class_names, lambda text: input(text))
    form.ask(found, numbers.tolist(), list(reasons(found, numbers, predictor.class_names)))
    print(f"{form.written} rows added to {output}; classes there: {_shares(file)}")


def _parser() -> ArgumentParser:
    parser = command_parser(
        "label", "Choose rows and ask for their labels: textmix label POOL --run RUN --output FILE [OPTIONS]"
    )
    parser.add_argument("pool", help="rows without labels, a source as predict takes it")
    parser.add_argument("--run", type=str, required=True, help="directory of a run, whose model judges the rows")
    parser.add_argument(
        "--output", type=str, required=True, help="a csv, tsv or jsonl file, to which labelled rows are added"
    )
    parser.add_argument("--next", type=int, default=20, help="number of rows to ask for")
    parser.add_argument(
        "--by",
        type=Literal["margin", "diversity", "both"],
        default="both",
        help="margin: rows between two classes; diversity: rows unlike each other",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the choice")
    add_reading_options(parser)
    return parser


def _print_gain(found: "Candidates", numbers: Any) -> None:
    wrong = float((1 - found.probabilities[numbers].max(axis=1)).sum())
    print(
        f"{found.seen} rows without a label; of the {len(numbers)} chosen the model expects to get {wrong:.1f} wrong,"
        f" of as many random ones {found.expected_errors * len(numbers):.1f}"
    )


def _shares(file: "LabeledFile") -> str:
    total = sum(file.counts.values())
    return ", ".join(f"{name} {count} ({count / total:.0%})" for name, count in file.counts.most_common() if count)


class _Form:
    """Asks for the labels of rows.

    Args:
        file: Where they are written.
        names: The classes.
        read: Prints a prompt and reads a line.
    """

    def __init__(self, file: "LabeledFile", names: list[str], read: Callable[[str], str]) -> None:
        self._file, self._names, self._read = file, list(names), read
        self.written = 0

    def ask(self, found: "Candidates", numbers: list[int], why: list[str]) -> None:
        """Ask for each row until the end of the rows or of the input; each answer is on disk before the next."""
        print(f"answer with a class or its number, {SKIP} to skip, {UNDO} to undo, {QUIT} to quit")
        place = 0
        answered: list[tuple[int, bool]] = []
        while place < len(numbers):
            row = numbers[place]
            print(f"\n{place + 1} of {len(numbers)} · {why[place]}")
            print("\n".join(f"  {text}" for text in found.texts[row]))
            answer = self._answer()
            if answer == QUIT:
                return
            if answer == UNDO:
                if answered:
                    place, was_written = answered.pop()
                    self.written -= was_written and self._file.undo()
                else:
                    print("nothing to undo")
                continue
            if answer != SKIP:
                self._file.add(found.rows[row], answer)
            answered.append((place, answer != SKIP))
            self.written += answer != SKIP
            place += 1

    def _answer(self) -> str:
        """Read a class or a command; asks again until there is one. The end of the input quits."""
        numbered = not any(name.isdigit() for name in self._names)
        shown = [f"[{number}] {name}" for number, name in enumerate(self._names[:_SHOWN], start=1)]
        while True:
            try:
                typed = self._read("  ".join(shown if numbered else self._names[:_SHOWN]) + " > ").strip()
            except (EOFError, KeyboardInterrupt):
                print(file=sys.stderr)
                return QUIT
            if typed in (SKIP, UNDO, QUIT) or typed in self._names:
                return typed
            if numbered and typed.isdigit() and 0 < int(typed) <= len(self._names):
                return self._names[int(typed) - 1]
            if typed.startswith("+") and (name := typed[1:].strip()):
                self._names.append(name)
                return name
            print(f"no class '{typed}'{did_you_mean(typed, self._names)} A new class begins with +, as in +{typed}")
