import math

import pytest
import torch

from textmix.models.pooling import POOLINGS, Pooling


def loop_pool(rows: list, name: str, weight: list, bias: float) -> list:
    """Pool unpadded rows in plain Python."""
    if not rows:
        return [0.0, 0.0, 0.0]
    columns = list(zip(*rows, strict=True))
    if name == "mean":
        return [sum(column) / len(column) for column in columns]
    if name == "max":
        return [max(column) for column in columns]
    if name in ("cls", "last"):
        return list(rows[0] if name == "cls" else rows[-1])
    scores = [math.exp(sum(w * x for w, x in zip(weight, row, strict=True)) + bias) for row in rows]
    return [sum(s * x for s, x in zip(scores, column, strict=True)) / sum(scores) for column in columns]


@pytest.mark.parametrize("name", POOLINGS)
@pytest.mark.parametrize("left", [False, True], ids=["right-padded", "left-padded"])
def test_pooling_equals_a_loop_over_real_positions(name: str, left: bool) -> None:
    torch.manual_seed(0)
    pooling = Pooling(name, 3).double()
    hidden = torch.randn(4, 5, 3, dtype=torch.float64)
    lengths = [5, 2, 1, 0]
    mask = (torch.arange(5)[None] < torch.tensor(lengths)[:, None]).long()
    mask = mask.flip(1) if left else mask
    weight, bias = ([0.0] * 3, 0.0)
    if pooling.score is not None:
        weight, bias = pooling.score.weight[0].tolist(), pooling.score.bias.item()
    expected = [
        loop_pool([row for row, real in zip(rows, mask[i].tolist(), strict=True) if real], name, weight, bias)
        for i, rows in enumerate(hidden.tolist())
    ]
    pooled = pooling(hidden, mask)
    torch.testing.assert_close(pooled, torch.tensor(expected, dtype=torch.float64), atol=1e-6, rtol=1e-6)
    # What padding holds makes no difference, however large.
    junk = hidden.masked_fill(~mask.bool().unsqueeze(-1), 1e30)
    assert torch.equal(pooling(junk, mask), pooled)


@pytest.mark.parametrize("name", POOLINGS)
def test_one_row_keeps_its_batch_dimension(name: str) -> None:
    assert Pooling(name, 3)(torch.randn(1, 1, 3), torch.ones(1, 1)).shape == (1, 3)
