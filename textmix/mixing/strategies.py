"""One table of strategies: each says at which sites of a model it may blend. Imports no torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

EMBEDDINGS = "embeddings"
POOLED = "pooled"


def layer(number: int) -> str:
    """Name the site behind block `number`, counted from 1."""
    return f"layer:{number}"


@dataclass(frozen=True)
class Strategy:
    """A way of mixing.

    Args:
        name: What users call it, in code, YAML and on the command line.
        summary: One line for `textmix strategies`.
        paper: Where it comes from.
        candidates: From the number of blocks of the model and the layers asked for to the sites of which one is drawn.
        uses_layers: Whether `mix.layers` means anything to it.
    """

    name: str
    summary: str
    paper: str
    candidates: Callable[[int, Sequence[int] | None], tuple[str, ...]]
    uses_layers: bool = False


def _manifold_sites(num_blocks: int, layers: Sequence[int] | None) -> tuple[str, ...]:
    chosen = range(1, num_blocks + 1) if layers is None else layers
    return (EMBEDDINGS, *(layer(number) for number in chosen))


STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        Strategy("none", "no mixing", "", lambda num_blocks, layers: ()),
        Strategy(
            "word",
            "blend the token embeddings (wordMixup)",
            "Guo et al. 2019",
            lambda num_blocks, layers: (EMBEDDINGS,),
        ),
        Strategy(
            "sentence",
            "blend the pooled sentence vectors (senMixup)",
            "Guo et al. 2019",
            lambda num_blocks, layers: (POOLED,),
        ),
        Strategy(
            "manifold",
            "blend at a site drawn anew each step: the embeddings or the output of a block",
            "Verma et al. 2019",
            _manifold_sites,
            uses_layers=True,
        ),
    )
}
