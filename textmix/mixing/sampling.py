"""Pure functions that draw λ and other weights, and the rows that are blended.

Every function takes an explicit CPU generator, so that a seed gives the same draws on every device; none uses global
random state. Results are copied to the batch's device asynchronously.
"""

import hashlib
import math

import torch
from torch import Tensor

from textmix.io.compat import sample_dirichlet, sample_gamma
from textmix.mixing.batch import MixBatch
from textmix.mixing.confidence import opposite_rows
from textmix.mixing.config import MixConfig
from textmix.mixing.similarity import pair_exponents, warp

# Below this alpha all Gamma(α) variates of a vector can underflow; above it, two do with a probability under 1e-12.
_UNDERFLOW = 0.02


def seeded(seed: int, number: int, bits: int) -> torch.Generator:
    """Return the generator of one of many streams of a seed.

    torch's CPU generators use only 32 bits of a seed; longer seeds are therefore hashed.

    Args:
        seed: The seed.
        number: Number of the stream, from 0.
        bits: Bits reserved for the number if the seed is small.
    """
    both = (seed << bits) + number
    if not 0 <= both < 2**32:
        both = int.from_bytes(hashlib.blake2b(f"{seed} {number}".encode(), digest_size=4).digest())
    return torch.Generator().manual_seed(both)


def draw_dirichlet(size: int, count: int, alpha: float, generator: torch.Generator) -> Tensor:
    """Draw from the symmetric Dirichlet distribution; with a count of 2 the first is Beta(alpha, alpha).

    A Dirichlet variate is a vector of Gamma(α) variates divided by their sum. For tiny α these underflow, so the ratio
    is computed from logarithms, with log Gamma(α) drawn as log Gamma(α + 1) + log(U) / α (Marsaglia and Tsang 2000,
    section 6).

    Args:
        size: Number of vectors.
        count: Their length.
        alpha: Parameter of the distribution, above 0.
        generator: CPU generator that is advanced.

    Returns:
        Weights in [0, 1], shape (size, count), float32, each row summing to 1, on the CPU.
    """
    # One operation instead of ten, whose time is measurable in a step of a small model.
    if alpha >= _UNDERFLOW:
        return sample_dirichlet(torch.full((size, count), alpha), generator)
    log_gamma = sample_gamma(torch.full((size, count), alpha + 1.0, dtype=torch.float64), generator).log()
    log_uniform = torch.rand(size, count, dtype=torch.float64, generator=generator).log()
    # A constant does not change a softmax; subtracting the maximum keeps the quotient finite, however small α is.
    log_uniform -= log_uniform.amax(dim=1, keepdim=True)
    return (log_gamma + log_uniform / alpha).softmax(dim=1).float()


def draw_lam(size: int, config: MixConfig, alpha: float, generator: torch.Generator) -> Tensor:
    """Draw `size` weights of a row against one partner, as `config.lam` and `config.fold_lam` say; shape (size,)."""
    return _draw(size, 2, config, alpha, generator)[:, 0]


def draw_weights(batch: MixBatch, count: int, config: MixConfig, generator: torch.Generator) -> Tensor:
    """Draw the weights of the rows that each row is blended from.

    Args:
        batch: The batch.
        count: K, the number of rows, the row itself included.
        config: How λ is drawn.
        generator: CPU generator that is advanced.

    Returns:
        Shape (B, K), float32, on the batch's device; each row sums to 1; all rows are equal unless `per_sample`.
    """
    size = batch.size if config.per_sample else 1
    weights = _draw(size, count, config, batch.alpha, generator)
    return weights.to(batch.device, non_blocking=True).expand(batch.size, -1)


def _draw(size: int, count: int, config: MixConfig, alpha: float, generator: torch.Generator) -> Tensor:
    if config.lam == "fixed":
        weights = torch.full((size, count), (1 - config.lam_value) / (count - 1))
        weights[:, 0] = config.lam_value
    elif config.lam == "uniform":
        weights = draw_dirichlet(size, count, 1.0, generator)
    else:
        weights = draw_dirichlet(size, count, alpha, generator)
    return weights.sort(dim=1, descending=True).values if config.fold_lam else weights


def draw_blend(batch: MixBatch, count: int, config: MixConfig, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw the rows that each row is blended from, and their weights.

    Args:
        batch: The batch.
        count: K, the number of rows, the row itself included; at most B.
        config: Which rows may be partners, and how λ is drawn.
        generator: CPU generator that is advanced, for the weights first.

    Returns:
        Rows, shape (B, K), as `draw_rows` says, and weights, shape (B, K), those of `draw_weights`, warped.
    """
    weights = draw_weights(batch, count, config, generator)
    rows = draw_rows(batch, count, config, generator)
    return rows, warp_weights(batch, rows, weights, config)


def warp_weights(batch: MixBatch, rows: Tensor, weights: Tensor, config: MixConfig) -> Tensor:
    """Warp weights by the similarity of the rows if `lam` is `similarity`, else return them as they are.

    Args:
        batch: The batch.
        rows: The rows that each row is blended from, shape (B, K).
        weights: Their weights, shape (B, K), or (B, K, H) or (1, K, H) for each dimension.
        config: Its `lam`, `similarity_max` and `similarity_std`.
    """
    if config.lam != "similarity":
        return weights
    return warp(weights, pair_exponents(batch.means, rows, config.similarity_max, config.similarity_std))


def draw_softmax(size: int, temperature: float, generator: torch.Generator) -> Tensor:
    """Draw softmax weights of standard normal logits over a temperature, shape (size, size), on the CPU."""
    return (torch.randn(size, size, generator=generator) / temperature).softmax(dim=1)


def stack_pair(lam: Tensor) -> Tensor:
    """Stack λ and 1 - λ, the weights of a row and its partner: shape (B, ...) to (B, 2, ...)."""
    return torch.stack([lam, 1 - lam], dim=1)


def all_rows(batch: MixBatch) -> Tensor:
    """List every row of the batch for each row, first the row itself, shape (B, B)."""
    numbers = torch.arange(batch.size, device=batch.device)
    return (numbers.unsqueeze(1) + numbers) % batch.size


def draw_rows(batch: MixBatch, count: int, config: MixConfig, generator: torch.Generator) -> Tensor:
    """Draw the rows that each row is blended from, as `config.partner` says.

    Args:
        batch: The batch.
        count: K, the number of rows, the row itself included; at most B.
        config: Which rows may be partners.
        generator: CPU generator that is advanced.

    Returns:
        Shape (B, K), int64, on the batch's device; first the row itself, which also replaces missing partners.

    Raises:
        ConfigError: If the partners need classes and the labels are not integer classes.
    """
    if config.partner == "random":
        return draw_cycle(batch.size, count, generator).to(batch.device, non_blocking=True)
    own = torch.arange(batch.size, device=batch.device).unsqueeze(1)
    noise = torch.rand(batch.size, batch.size, generator=generator).to(batch.device, non_blocking=True)
    best = noise.masked_fill(~candidates(batch, config), -1).topk(count - 1, dim=1)
    return torch.cat([own, torch.where(best.values >= 0, best.indices, own)], dim=1)


def draw_cycle(size: int, count: int, generator: torch.Generator) -> Tensor:
    """Draw distinct partners for each row: steps along one uniformly random cycle (Sattolo 1986).

    A random permutation pairs a row with itself at rate 1/size; a step along a cycle never does, and every other row is
    equally likely.

    Args:
        size: Number of rows B, at least 2.
        count: Rows that each row is blended from, itself included; at most B.
        generator: CPU generator that is advanced.

    Returns:
        Shape (B, count), int64, on the CPU; the first column is the rows themselves, every other column a permutation
        without fixed points.
    """
    order = torch.randperm(size, generator=generator).tolist()
    # Plain Python: for the rows of a batch it is faster than tensor operations.
    chains = sorted(zip(*(order[step:] + order[:step] for step in range(count)), strict=True))
    return torch.tensor(chains)


def candidates(batch: MixBatch, config: MixConfig) -> Tensor:
    """Return which rows may be partners of which, shape (B, B), bool, False on the diagonal.

    Raises:
        ConfigError: If this needs classes and the labels are not integer classes.
    """
    oneself = torch.eye(batch.size, dtype=torch.bool, device=batch.device)
    if config.partner in ("same_class", "other_class"):
        labels = batch.classes(f"mix.partner {config.partner}")
        same = labels.unsqueeze(1) == labels
        return (same if config.partner == "same_class" else ~same) & ~oneself
    if config.partner == "easy_hard":
        labels = batch.classes("mix.partner easy_hard")
        opposite = opposite_rows(batch.probabilities, labels).unsqueeze(1)
        return torch.zeros_like(oneself).scatter(1, opposite, value=True) & ~oneself
    if config.partner == "length":
        lengths = batch.lengths.float()
        distance = (lengths.unsqueeze(1) - lengths).abs().masked_fill(oneself, torch.inf)
        return distance == distance.amin(dim=1, keepdim=True)
    means = batch.means.float()
    # Without a matrix product, which loses the digits of small distances.
    distance = torch.cdist(means, means, compute_mode="donot_use_mm_for_euclid_dist")
    near = config.partner == "nearest"
    distance = distance.masked_fill(oneself, torch.inf if near else -torch.inf)
    count = min(config.neighbours, batch.size - 1)
    found = distance.topk(count, dim=1, largest=not near).indices
    return torch.zeros_like(oneself).scatter(1, found, value=True)


def scheduled_alpha(config: MixConfig, progress: float) -> float:
    """Return alpha at a point of the training run.

    Args:
        config: Its `alpha` and `alpha_schedule`.
        progress: Finished share of the run, in [0, 1].
    """
    if config.alpha_schedule == "constant":
        return config.alpha
    shape, direction = config.alpha_schedule.split("_")
    rise = progress if shape == "linear" else (1 - math.cos(math.pi * progress)) / 2
    return config.alpha * (rise if direction == "in" else 1 - rise)
