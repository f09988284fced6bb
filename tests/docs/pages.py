"""The pages of the documentation, cut into code blocks, inline code, headings and links."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Block:
    """A fenced block of code.

    Args:
        language: The word behind the fence.
        code: What is in it.
        line: Line of the page at which the code starts, from 1.
    """

    language: str
    code: str
    line: int


@dataclass(frozen=True)
class Page:
    """A page in Markdown.

    Args:
        path: Where it is, from the root.
    """

    path: str

    @property
    def text(self) -> str:
        return (ROOT / self.path).read_text(encoding="utf-8")

    @property
    def folder(self) -> Path:
        return (ROOT / self.path).parent

    def blocks(self, *languages: str) -> list[Block]:
        found = re.finditer(r"^```(\w*)\n(.*?)^```$", self.text, flags=re.DOTALL | re.MULTILINE)
        blocks = [Block(one[1], one[2], self.text[: one.start(2)].count("\n") + 1) for one in found]
        return [block for block in blocks if not languages or block.language in languages]

    @property
    def prose(self) -> str:
        """The page without its blocks."""
        return re.sub(r"^```\w*\n.*?^```$", "", self.text, flags=re.DOTALL | re.MULTILINE)

    @property
    def inline(self) -> list[str]:
        """Code within the text."""
        return re.findall(r"`([^`\n]+)`", self.prose)

    @property
    def links(self) -> list[str]:
        """Targets of links and pictures."""
        return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]+`", "", self.prose))

    @property
    def anchors(self) -> list[str]:
        """The names by which GitHub links to headings."""
        headings = re.findall(r"^#+ (.*)$", self.prose, flags=re.MULTILINE)
        return [re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings]

    def section(self, title: str) -> str:
        """The text under a heading of the second level, up to the next one."""
        return self.text.split(f"\n## {title}\n")[1].split("\n## ")[0]

    @property
    def commands(self) -> list[list[str]]:
        """The words of each line of the shell, without comments."""
        lines = [line for block in self.blocks("bash") for line in block.code.splitlines()]
        return [words for line in lines if (words := shlex.split(line.split("  #")[0]))]

    @property
    def inline_commands(self) -> list[list[str]]:
        """The words of commands within the text, which may be parts of commands."""
        programs = r"(python|textmix|make|pip|\.venv/bin/\w+) "
        return [shlex.split(code) for code in self.inline if re.match(programs, code)]


README = Page("README.md")
PAGES = [
    README,
    *(Page(str(path.relative_to(ROOT))) for path in sorted(ROOT.glob("docs/*.md"))),
    Page("CONTRIBUTING.md"),
    Page("data/README.md"),
    Page("benchmarks/README.md"),
]
