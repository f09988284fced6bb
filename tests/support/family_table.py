"""The table of families in the documentation: which is mixed where, with which labels.

`python -m tests.support.family_table` prints it.
"""

from tests.support.families import FAMILIES, LABELS, Family

COLUMNS = ("tokens", "embeddings", "layer:k", "pooled")
SIGNS = {"integer": "C", "soft": "S", "multi-label": "M", "regression": "R", "tokens": "T"}
BEGIN, END = "<!-- families -->\n", "<!-- /families -->"


def sites_of(family: Family, column: str, labels: str) -> list[str]:
    """The sites of a column at which a family takes labels of this kind."""
    heads = [head for head in family.heads if labels in head.labels]
    sites = [site for head in heads for site in head.sites]
    return [site for site in sites if site == column or (column == "layer:k" and site.startswith("layer:"))]


# Every cell that holds something; each is a test.
CELLS = [
    (family.name, column, labels)
    for family in FAMILIES
    for column in COLUMNS
    for labels in LABELS
    if sites_of(family, column, labels)
]


def table() -> str:
    """The table in Markdown."""
    lines = [f"| model family | {' | '.join(f'`{column}`' for column in COLUMNS)} |", "| --- |" + " --- |" * 4]
    for family in FAMILIES:
        cells = [
            " ".join(SIGNS[labels] for labels in LABELS if (family.name, column, labels) in CELLS) or "–"
            for column in COLUMNS
        ]
        lines.append(f"| {family.name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")  # noqa: T201
