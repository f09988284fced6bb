"""The mathematics of mixing once more, in plain Python: lists, floats and loops, no tensor algebra."""

import math
from collections.abc import Sequence
from typing import Any

from scipy.special import betainc

Nested = Any  # a number, or a list of nested lists
IGNORED = -100


def add(terms: Sequence[tuple[float, Nested]]) -> Nested:
    """Add nested lists of equal shape, each times its weight."""
    if isinstance(terms[0][1], list):
        return [add([(weight, value[i]) for weight, value in terms]) for i in range(len(terms[0][1]))]
    return sum(weight * value for weight, value in terms)


def blend(
    hidden: list[Nested],
    rows: list[list[int]],
    weights: list[list[float]],
    mask: list[list[bool]] | None = None,
    padding: str = "zero",
) -> list[Nested]:
    """Blend rows, position by position where there is a mask."""
    out = []
    for numbers, shares in zip(rows, weights, strict=True):
        if mask is None:
            out.append(add([(share, hidden[j]) for j, share in zip(numbers, shares, strict=True)]))
            continue
        row = []
        for t in range(len(mask[0])):
            real = [(share, hidden[j][t]) for j, share in zip(numbers, shares, strict=True) if mask[j][t]]
            total = sum(share for share, _ in real)
            if not real:
                row.append(add([(0.0, hidden[numbers[0]][t])]))
            elif padding == "copy" and len({j for j in numbers if mask[j][t]}) == 1:
                row.append(real[0][1])
            elif padding == "copy":
                row.append(add([(share / total, value) for share, value in real]))
            else:
                row.append(add(real))
        out.append(row)
    return out


def blend_dimensions(
    hidden: list[Nested], partner: list[int], dims: list[list[float]], mask: list[list[bool]], padding: str
) -> list[Nested]:
    """Blend each row with its partner, each dimension with its own weight."""
    out = []
    for i, j in enumerate(partner):
        lam, row = dims[i if len(dims) > 1 else 0], []
        for t in range(len(mask[0])):
            vector = []
            for d in range(len(lam)):
                own, other = lam[d] * mask[i][t], (1 - lam[d]) * mask[j][t]
                if padding == "copy" and mask[i][t] != mask[j][t]:
                    own, other = float(mask[i][t]), float(mask[j][t])
                # A position that does not count may hold anything, also what is no number.
                vector.append(
                    (own * hidden[i][t][d] if mask[i][t] else 0.0) + (other * hidden[j][t][d] if mask[j][t] else 0.0)
                )
            row.append(vector)
        out.append(row)
    return out


def cut(
    hidden: list[Nested], partner: list[int], replaced: list[list[bool]], source: list[list[int]], keep: float
) -> list[Nested]:
    """Put the partner's positions where a row's are replaced."""
    return [
        [
            add([(keep, value), (1 - keep, hidden[partner[i]][source[i][t]])]) if replaced[i][t] else value
            for t, value in enumerate(row)
        ]
        for i, row in enumerate(hidden)
    ]


def contents(content: list[bool]) -> list[int]:
    """List the positions of content tokens."""
    return [t for t, real in enumerate(content) if real]


def softmax(row: list[float]) -> list[float]:
    total = sum(math.exp(x - max(row)) for x in row)
    return [math.exp(x - max(row)) / total for x in row]


def loss_of_row(
    row: list[float],
    target: Any,
    kind: str,
    smoothing: float = 0.0,
    class_weights: list[float] | None = None,
    gamma: float = 0.0,
) -> float:
    """Score the logits of one row, or one token, against one target."""
    size = len(row)
    weights = class_weights or [1.0] * size
    if kind == "regression":
        values = target if isinstance(target, list) else [target]
        return sum((x - y) ** 2 for x, y in zip(row, values, strict=True)) / size
    if kind == "multi_label_classification":
        total = 0.0
        for x, y, w in zip(row, target, weights, strict=True):
            p, y = 1 / (1 + math.exp(-x)), (1 - smoothing) * y + smoothing / 2
            total += -w * y * (1 - p) ** gamma * math.log(p) - (1 - y) * p**gamma * math.log(1 - p)
        return total / size
    if target == IGNORED:
        return 0.0
    shares = target if isinstance(target, list) else [float(c == target) for c in range(size)]
    costs = [-((1 - p) ** gamma) * math.log(p) for p in softmax(row)]
    total = 0.0
    for cost, share, w in zip(costs, shares, weights, strict=True):
        total += share * w * ((1 - smoothing) * cost + smoothing * sum(costs) / size)
    return total


def blended_loss(
    logits: list[Nested],
    labels: list[Nested],
    rows: list[list[int]],
    weights: list[list[float]],
    kind: str,
    num_items: float | None = None,
    sample_weights: list[float] | None = None,
    **options: Any,
) -> float:
    """Score rows, or rows of tokens, against the labels of the rows that each is blended from."""
    total, count = 0.0, 0.0
    for i, (numbers, shares) in enumerate(zip(rows, weights, strict=True)):
        for j, share in zip(numbers, shares, strict=True):
            tokens = kind == "token_classification"
            pairs = zip(logits[i], labels[j], strict=True) if tokens else [(logits[i], labels[j])]
            for row, target in pairs:
                counted = share * (1.0 if sample_weights is None else sample_weights[j])
                total += counted * loss_of_row(row, target, kind, **options)
                count += share * (kind in ("regression", "multi_label_classification") or target != IGNORED)
    if num_items is not None:
        return total / num_items
    return total / count if count else 0.0


def remix(
    rows: list[list[int]], weights: list[list[float]], labels: list[int], counts: list[int], kappa: float, tau: float
) -> list[list[float]]:
    """Weigh targets by the rule of Remix, pair by pair."""
    out = []
    for numbers, shares in zip(rows, weights, strict=True):
        lam, others = shares[0], shares[1:]
        targets = [0.0] * len(numbers)
        for k, share in enumerate(others, start=1):
            part = share / sum(others) if sum(others) else 1 / len(others)
            ratio = counts[labels[numbers[0]]] / counts[labels[numbers[k]]]
            own = lam
            if ratio >= kappa and lam < tau:
                own = 0.0
            elif ratio <= 1 / kappa and 1 - lam < tau:
                own = 1.0
            targets[0] += part * own
            targets[k] += part * (1 - own)
        out.append(targets)
    return out


def opposites(probabilities: list[list[float]], labels: list[int]) -> dict[int, int]:
    """Pair the easiest row that is left with the hardest one, until one or none is left."""
    pairs = enumerate(zip(probabilities, labels, strict=True))
    losses = {i: 0.0 if label == IGNORED else -math.log(row[label]) for i, (row, label) in pairs}
    left, partners = sorted(losses, key=lambda i: losses[i]), {}
    while len(left) > 1:
        easy, hard = left.pop(0), left.pop()
        partners[easy], partners[hard] = hard, easy
    return partners


def trusted(probabilities: list[list[float]], labels: list[int], trust: float) -> list[Nested]:
    """Blend each label with the probabilities; a label that is ignored stays."""
    out: list[Nested] = []
    for row, label in zip(probabilities, labels, strict=True):
        t = 0.0 if label == IGNORED else trust * (1 - row[label])
        soft = [(1 - t) * (c == label) + t * p for c, p in enumerate(row)]
        out.append(IGNORED if label == IGNORED else soft)
    return out


def exponents(means: list[list[float]], rows: list[list[int]], highest: float, std: float) -> list[list[float]]:
    """Compute the exponent of each pair from its distance on the unit sphere."""
    units = [[x / math.hypot(*mean) for x in mean] for mean in means]
    distances = [[math.dist(units[i], units[j]) ** 2 for j in numbers[1:]] for i, numbers in enumerate(rows)]
    paired = [d for i, row in enumerate(distances) for d, j in zip(row, rows[i][1:], strict=True) if j != i]
    mean = sum(paired) / len(paired)
    return [[1 / (highest * math.exp(-(d / mean - 1) / (2 * std**2))) for d in row] for row in distances]


def warp(weights: list[list[float]], exponents: list[list[float]]) -> list[list[float]]:
    """Warp λ of each pair alone by the distribution function of Beta, and put the odds together."""
    out = []
    for (own, *others), powers in zip(weights, exponents, strict=True):
        warped = [float(betainc(tau, tau, own / (own + other))) for other, tau in zip(others, powers, strict=True)]
        odds = [(1 - lam) / max(lam, 1e-300) for lam in warped]
        out.append([1 / (1 + sum(odds)), *(odd / (1 + sum(odds)) for odd in odds)])
    return out
