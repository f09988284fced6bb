"""Weights of similar rows: pairs blend the more strongly, the closer their mean embeddings are."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

# Exponents lie between e**-10 and e**10, beyond which λ hardly changes any more.
_LOG_LIMIT = 10.0
_QUADRATURE = np.polynomial.legendre.leggauss(32)


def pair_exponents(means: Tensor, rows: Tensor, highest: float, std: float) -> Tensor:
    """Compute the exponent of each pair by a Gaussian kernel (Bouniot et al. 2023, arXiv 2311.01434).

    With d the squared distance of the mean embeddings of a pair, as unit vectors, divided by the mean over the pairs of
    the batch, the exponent is `τ = 1 / (highest · exp(-(d - 1) / (2 std²)))`: 1 / highest for a pair at the mean
    distance, less for closer pairs, more for others. A row that replaces a missing partner is no pair: the mean is
    taken without it.

    Args:
        means: Mean embedding of each row, shape (B, E).
        rows: The rows that each row is blended from, shape (B, K); first the row itself.
        highest: τ_max of the paper: the strength of blending at the mean distance.
        std: τ_std of the paper: the smaller it is, the faster blending weakens with distance.

    Returns:
        τ, shape (B, K - 1), float32.
    """
    vectors = F.normalize(means.float(), dim=1)
    distances = (vectors[rows[:, 1:]] - vectors.unsqueeze(1)).square().sum(dim=2)
    pairs = (rows[:, 1:] != rows[:, :1]).sum().clamp(min=1)
    mean = (distances.sum() / pairs).clamp(min=torch.finfo(distances.dtype).tiny)
    exponents = (distances / mean - 1) / (2 * std**2) - math.log(highest)
    return exponents.clamp(-_LOG_LIMIT, _LOG_LIMIT).exp()


def warp(weights: Tensor, exponents: Tensor) -> Tensor:
    """Warp the weight of each row against each of its partners by the distribution function of Beta(τ, τ).

    With one partner λ becomes the probability that a Beta(τ, τ) variate is below λ (Bouniot et al. 2023): λ itself for
    τ = 1, a step at 1/2 as τ grows, 1/2 as τ falls to 0; 0 and 1 stay. With several partners each pair is warped alone,
    and the odds of the partners against the row itself make up the weights.

    Args:
        weights: Weights that sum to 1 over K, shape (B, K, ...) or (1, K, ...); first the row itself.
        exponents: τ of each pair, shape (B, K - 1).

    Returns:
        Weights of the same sum, shape (B, K, ...).
    """
    weights = weights.expand(exponents.shape[0], *weights.shape[1:])
    logs = weights.clamp(min=torch.finfo(weights.dtype).tiny).log()
    own = logs[:, :1]
    odds = _warp_odds(logs[:, 1:] - own, exponents.view(*exponents.shape, *[1] * (weights.dim() - 2)))
    return torch.cat([torch.zeros_like(own), odds], dim=1).masked_fill(weights == 0, -torch.inf).softmax(dim=1)


def _warp_odds(odds: Tensor, exponents: Tensor) -> Tensor:
    """Return the log-odds of Beta's distribution function at a probability, given by its log-odds.

    Torch has no incomplete beta function. In log-odds u the density is proportional to cosh(u / 2)^(-2τ), which is
    smooth for every τ: 32 nodes of Gauss-Legendre quadrature between 0 and u, which ends where the density has fallen
    by exp(-18), give the function to 1e-5 in float64 and 1e-4 in float32, on every device.
    """
    nodes, shares = (torch.from_numpy(values).to(odds) for values in _QUADRATURE)

    def integrate(end: Tensor) -> Tensor:
        half = (nodes + 1) / 4 * end.unsqueeze(-1)
        log_cosh = half + torch.log1p(torch.expm1(-2 * half) / 2)
        return end * ((-2 * exponents.unsqueeze(-1) * log_cosh).exp() * shares).sum(dim=-1)

    bound = 9 / exponents
    last = 2 * (bound + torch.log1p((-torch.expm1(-2 * bound)).sqrt()))
    share = integrate(torch.minimum(odds.abs(), last)) / integrate(last)
    return odds.sign() * ((1 + share) / (1 - share).clamp(min=torch.finfo(odds.dtype).tiny)).log()
