import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from tests.mixing import loops
from tests.mixing.batches import generator, random_mask
from textmix.mixing.plan import Span
from textmix.mixing.spans import cut, extreme_start, place_span, random_starts, span_lengths, span_targets

BATCHES = {"size": st.integers(1, 33), "length": st.integers(1, 9), "seed": st.integers(0, 2**16)}


def drawn(size: int, length: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Content, partners and lengths of spans that fit into both."""
    source = generator(seed)
    content = random_mask(size, length, source)
    partner = torch.randint(size, (size,), generator=source)
    counts = content.sum(dim=1)
    return content, partner, span_lengths(torch.rand(size, generator=source), counts, counts[partner])


@pytest.mark.parametrize(
    ("lam", "own", "other", "expected"),
    [
        (0.0, 10, 10, 10),
        (1.0, 10, 10, 0),
        (0.66, 10, 10, 3),
        (0.64, 10, 10, 4),
        (0.0, 10, 4, 4),
        (0.0, 4, 10, 4),
        (0.5, 0, 10, 0),
        (0.5, 10, 0, 0),
    ],
)
def test_lengths_by_hand(lam: float, own: int, other: int, expected: int) -> None:
    lengths = span_lengths(torch.tensor([lam]), torch.tensor([own]), torch.tensor([other]))
    assert lengths.tolist() == [expected]
    assert lengths.dtype == torch.long


def test_random_starts_fit_and_are_equally_likely() -> None:
    lengths, counts = torch.tensor([[3], [7], [0], [0]]), torch.tensor([[7], [7], [2], [0]])
    starts = random_starts(lengths.expand(-1, 5000), counts.expand(-1, 5000), generator())
    for row, choices in zip(starts.tolist(), (5, 1, 3, 1), strict=True):
        assert set(row) == set(range(choices))
        expected = 5000 / choices
        assert all(abs(row.count(start) - expected) <= 5 * math.sqrt(expected) for start in range(choices))


def test_a_draw_next_to_1_still_fits() -> None:
    """In float32 a draw close to 1 times a large number of starts rounds up to that number."""
    counts = torch.full((200_000,), 2**24)
    starts = random_starts(torch.zeros_like(counts), counts, generator())
    assert (starts <= counts).all()
    assert (starts >= 0).all()


def brute_start(values: list[float], length: int, most: bool) -> int:
    sums = [sum(values[start : start + length]) for start in range(len(values) - length + 1)]
    return sums.index(max(sums) if most else min(sums))


@given(**BATCHES, most=st.booleans(), ties=st.booleans())
@settings(deadline=None, max_examples=60)
def test_extreme_starts_equal_brute_force(size: int, length: int, seed: int, most: bool, ties: bool) -> None:
    content, _, lengths = drawn(size, length, seed)
    source = generator(seed)
    # Whole numbers repeat, so that the first of several equal spans has to be found; what is no content is extreme.
    saliency = torch.randint(3, content.shape, generator=source).double()
    saliency = saliency if ties else torch.rand(content.shape, dtype=torch.float64, generator=source)
    saliency = saliency.masked_fill(~content, 1e9 if most else -1e9)
    starts = extreme_start(saliency, content, lengths, most=most).tolist()
    for i in range(size):
        values = [saliency[i, t].item() for t in loops.contents(content[i].tolist())]
        assert starts[i] == brute_start(values, int(lengths[i]), most)


def test_extreme_starts_are_as_exact_in_float32() -> None:
    saliency = torch.tensor([[1e8, 1.0, 2.0, 3.0, 1.0]])
    content = torch.tensor([[False, True, True, True, True]])
    big_first = torch.tensor([[1e8, 1.0, 2.0, 3.0, 1.0]])
    assert extreme_start(saliency, content, torch.tensor([2]), most=True).tolist() == [1]
    assert extreme_start(big_first, torch.ones_like(content), torch.tensor([1]), most=False).tolist() == [1]
    assert extreme_start(big_first, torch.ones_like(content), torch.tensor([2]), most=False).tolist() == [1]


@given(**BATCHES, keep=st.sampled_from([0.0, 0.25, 1.0]))
@settings(deadline=None, max_examples=60)
def test_placing_and_cutting_equal_a_plain_loop(size: int, length: int, seed: int, keep: float) -> None:
    content, partner, lengths = drawn(size, length, seed)
    counts, source = content.sum(dim=1), generator(seed + 1)
    own, other = random_starts(lengths, counts, source), random_starts(lengths, counts[partner], source)
    span = place_span(content, partner, lengths, own, other, keep)
    replaced, origin = [[False] * length for _ in range(size)], [[0] * length for _ in range(size)]
    for i in range(size):
        mine, theirs = loops.contents(content[i].tolist()), loops.contents(content[partner[i]].tolist())
        for k in range(int(lengths[i])):
            replaced[i][mine[own[i] + k]] = True
            origin[i][mine[own[i] + k]] = theirs[other[i] + k]
    assert span.replaced.tolist() == replaced
    assert span.source.tolist() == origin
    assert span.keep == keep
    hidden = torch.randn(size, length, 3, dtype=torch.float64, generator=source)
    expected = loops.cut(hidden.tolist(), partner.tolist(), replaced, origin, keep)
    torch.testing.assert_close(cut(hidden, partner, span), torch.tensor(expected, dtype=torch.float64))


def test_token_ids_stay_integers() -> None:
    ids = torch.tensor([[1, 10, 11, 2], [1, 20, 2, 0]])
    span = Span(torch.tensor([[0, 0, 1, 0], [0, 1, 0, 0]]).bool(), torch.tensor([[0, 0, 1, 0], [0, 2, 0, 0]]))
    mixed = cut(ids, torch.tensor([1, 0]), span)
    assert mixed.tolist() == [[1, 10, 20, 2], [1, 11, 2, 0]]
    assert mixed.dtype == torch.long


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_partial_cut_keeps_the_dtype(dtype: torch.dtype) -> None:
    hidden = torch.tensor([[[1.0], [2.0]], [[3.0], [5.0]]], dtype=dtype)
    span = Span(torch.tensor([[False, True], [True, False]]), torch.tensor([[0, 1], [1, 0]]), keep=0.25)
    mixed = cut(hidden, torch.tensor([1, 0]), span)
    assert mixed.dtype == dtype
    assert mixed.flatten().tolist() == [1.0, 4.25, 2.25, 5.0]


@pytest.mark.parametrize("keep", [0.0, 0.25])
def test_the_labels_of_tokens_go_where_the_tokens_go(keep: float) -> None:
    labels = torch.tensor([[-100, 3, 4], [-100, 5, -100]])
    span = Span(torch.tensor([[False, False, True], [False] * 3]), torch.tensor([[0, 0, 1], [0, 0, 0]]), keep)
    targets, weights = span_targets(labels, torch.tensor([1, 0]), span)
    assert targets.shape == weights.shape == (2, 2, 3)
    assert targets[0, :, 2].tolist() == [4, 5]
    assert weights[0].tolist() == [[1, 1, keep], [0, 0, 1 - keep]]
    assert weights[1].tolist() == [[1, 1, 1], [0, 0, 0]]
    assert targets[:, 0].tolist() == labels.tolist()


class TestSpecialTokens:
    """Special ids come from the tokenizer; separators of sentence pairs and padding on either side stay in place."""

    @pytest.mark.parametrize("side", ["left", "right"])
    @pytest.mark.parametrize("pairs", [False, True])
    def test_they_are_never_cut(self, tokenizer: PreTrainedTokenizerBase, side: str, pairs: bool) -> None:
        from textmix.hooks.special_tokens import special_ids

        tokenizer.padding_side = side
        texts = ["soup with bread", "a goal", "the new song and the drum", "rice"]
        batch = tokenizer(texts, texts[::-1] if pairs else None, padding=True, return_tensors="pt")
        ids, special = batch["input_ids"], torch.tensor(special_ids(tokenizer))
        content = ~torch.isin(ids, special)
        assert torch.equal(content.sum(dim=1) + (1 + 1 + pairs), batch["attention_mask"].sum(dim=1))
        source, counts = generator(), content.sum(dim=1)
        for seed in range(20):
            partner = torch.tensor([1, 2, 3, 0])
            lengths = span_lengths(torch.rand(4, generator=generator(seed)), counts, counts[partner])
            own, other = random_starts(lengths, counts, source), random_starts(lengths, counts[partner], source)
            span = place_span(content, partner, lengths, own, other, 0.0)
            mixed = cut(ids, partner, span)
            assert torch.equal(mixed[~content], ids[~content])
            assert not torch.isin(mixed[content], special).any()
            assert torch.equal(span.replaced.sum(dim=1), lengths)
