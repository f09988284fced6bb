"""Answers to the prompts of a command."""

from collections.abc import Callable


class Typing:
    """Answers that are typed, one after the other; prompts are kept."""

    def __init__(self, *lines: str, at_prompt: Callable[[int], object] = lambda number: None) -> None:
        self.prompts: list[str] = []
        self._lines, self._at_prompt = iter(lines), at_prompt

    def __call__(self, prompt: object = "") -> str:
        self.prompts.append(str(prompt))
        self._at_prompt(len(self.prompts))
        try:
            return next(self._lines)
        except StopIteration:
            raise EOFError from None
