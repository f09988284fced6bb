"""Print pairs in the terminal."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from textmix.analysis.inspect.pairs import Neighbour, Pair, Position, Row

STYLES = {"own": "cyan", "partner": "magenta", "both": "yellow", "special": "dim"}
# `batch` blends all rows of a batch; only those with the largest weights are shown.
_MOST_ROWS = 4
_LABEL_WIDTH = 9


def legend() -> Text:
    """Explain the colours and brackets."""
    parts = [
        ("tokens: ", ""),
        ("own", STYLES["own"]),
        (" · ", ""),
        ("‹ the partner's ›", STYLES["partner"]),
        (" · ", ""),
        ("special", STYLES["special"]),
    ]
    return Text.assemble(*parts)


def show_pair(pair: Pair, number: int, console: Console) -> None:
    """Print one pair.

    Args:
        pair: What to print.
        number: Its number, counted from 1.
        console: Where to print it.
    """
    console.print()
    console.rule(Text(f"{number}: {pair.strategy} at {pair.site}, λ {pair.lam:.2f}", style="bold"), align="left")
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=_LABEL_WIDTH - 2)
    table.add_column(justify="right")
    table.add_column()
    table.add_column(ratio=1)
    for index, row in enumerate(pair.rows[:_MOST_ROWS]):
        who = _who(index, len(pair.rows))
        style = STYLES["own" if index == 0 else "partner"]
        table.add_row(Text(who, style), f"{row.weight:.2f}", Text(_clean(row.label)), Text(_excerpt(row)))
    console.print(table)
    rest = pair.rows[_MOST_ROWS:]
    if rest:
        console.print(
            f"{'':{_LABEL_WIDTH}}and {len(rest)} more rows with a total weight of {sum(r.weight for r in rest):.2f}"
        )
    if len(pair.rows) == 1:
        console.print(_line("partner", Text("none in this batch satisfies mix.partner: the row stays unmixed")))
    target = " · ".join(f"{_clean(name)} {weight:.2f}" for name, weight in pair.target.items())
    console.print(_line("target", Text(target, "bold")))
    if pair.mixed_text is not None:
        console.print(_line("mixed", mixed_text(pair.positions)))
    elif pair.positions:
        console.print()
        for line in gloss(pair, console.width):
            console.print(line, no_wrap=True, crop=False, overflow="ignore")
    if pair.nearest:
        console.print(_line("nearest", Text(_list_neighbours(pair.nearest))))
    if pair.note is not None:
        console.print(_line("", Text(f"({pair.note})", "dim")))


def mixed_text(positions: Sequence[Position]) -> Text:
    """Write a row of mixed tokens; brackets mark the partner's, so that they are visible without colours."""
    text = Text()
    shown = [position for position in positions if position.token is not None]
    spaced = any((position.token or "").startswith(" ") for position in shown)
    inside = False
    for position in shown:
        token = _clean(position.token or "")
        joined = token.startswith("##") or (spaced and not token.startswith(" "))
        foreign = position.origin == "partner"
        if inside and not foreign:
            text.append(" ›", STYLES["partner"])
        gap = "" if (joined and foreign == inside) or not text else " "
        text.append(gap)
        if foreign and not inside:
            text.append("‹ ", STYLES["partner"])
        inside = foreign
        piece = token.removeprefix("##") if not gap else token
        text.append(piece.strip() if gap else piece, STYLES[position.origin])
    if inside:
        text.append(" ›", STYLES["partner"])
    return text


def gloss(pair: Pair, width: int) -> Iterator[Text]:
    """Write blended positions in columns: the token of each row, and below them the nearest tokens of the blend.

    Args:
        pair: A pair with blended vectors.
        width: Columns to fill.
    """
    count = min(len(pair.rows), _MOST_ROWS)
    labels = [_who(index, len(pair.rows)) for index in range(count)]
    has_nearest = any(position.nearest for position in pair.positions)
    labels += ["nearest", "second"] if has_nearest else []
    columns = [_column(position, count, has_nearest) for position in pair.positions if position.origin != "padding"]
    start = 0
    while start < len(columns):
        if start:
            yield Text("")
        end, used = start, _LABEL_WIDTH
        while end < len(columns) and (end == start or used + _width(columns[end]) <= width):
            used += _width(columns[end])
            end += 1
        for index, label in enumerate(labels):
            line = Text(
                f"{label:<{_LABEL_WIDTH}}", "" if index >= count else STYLES["own" if index == 0 else "partner"]
            )
            for column in columns[start:end]:
                word, style = column[index]
                line.append(word, style)
                line.append(" " * (_width(column) - cell_len(word)))
            line.rstrip()
            yield line
        start = end


def _column(position: Position, count: int, has_nearest: bool) -> list[tuple[str, str]]:
    special = position.origin == "special"
    parts = [_clean(part or "·").strip() for part in position.parts[:count]]
    words = [(part, STYLES[_style(index, special)]) for index, part in enumerate(parts)]
    words += [("·", "")] * (count - len(parts))
    if has_nearest:
        for neighbour in position.nearest[:2]:
            token = _clean(neighbour.token).strip()
            # A token of one of the rows has the colour of that row.
            style = STYLES[_style(parts.index(token), special)] if token in parts else STYLES["both"]
            words.append((token, style))
        words += [("", "")] * (count + 2 - len(words))
    return words


def _style(index: int, special: bool) -> str:
    return "special" if special else "own" if index == 0 else "partner"


def _width(column: list[tuple[str, str]]) -> int:
    return max(cell_len(word) for word, _ in column) + 1


def _who(index: int, count: int) -> str:
    if index == 0:
        return "own"
    return "partner" if count == 2 else f"other {index}"


def _line(label: str, content: Text) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=_LABEL_WIDTH - 2)
    table.add_column(ratio=1)
    table.add_row(label, content)
    return table


def _list_neighbours(neighbours: Sequence[Neighbour]) -> str:
    return " · ".join(f"{_clean(neighbour.token).strip()} {neighbour.cosine:.2f}" for neighbour in neighbours)


def _excerpt(row: Row) -> str:
    """Shorten a text to about the part that the model was given."""
    given = sum(len(token.removeprefix("##")) + 1 for token in row.tokens if token is not None)
    texts = [" ".join(_clean(text).split()) for text in (row.text, row.text_pair) if text is not None]
    whole = " | ".join(texts)
    if len(whole) <= given:
        return whole
    return whole[:given].rsplit(" ", 1)[0] + " …"


def _clean(text: str) -> str:
    """Replace characters that could control the terminal."""
    return "".join(character if character.isprintable() else " " for character in text)
