"""Names of the sites at which rows are mixed. No torch."""

TOKENS = "tokens"
EMBEDDINGS = "embeddings"
POOLED = "pooled"
_LAYER = "layer:"


def layer(number: int) -> str:
    """Name the site at the output of block `number`, counted from 1."""
    return f"{_LAYER}{number}"


def site_before(block: int) -> str:
    """Name the site at the input of a block, counted from 0."""
    return layer(block) if block else EMBEDDINGS


def block_after(site: str) -> int | None:
    """Return the block, counted from 0, whose input a site is; None for sites outside the blocks."""
    if site == EMBEDDINGS:
        return 0
    return int(site.removeprefix(_LAYER)) if site.startswith(_LAYER) else None
