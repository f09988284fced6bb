import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.mixing import loops
from tests.mixing.batches import generator, random_mask
from textmix.mixing.functional import blend, union_alibi, union_attention, union_mask
from textmix.mixing.sampling import stack_pair

PADDINGS = ["zero", "copy"]


def drawn(size: int, count: int, length: int, seed: int) -> tuple[torch.Tensor, ...]:
    """Hidden states, rows with repetitions, their weights, a mask."""
    source = generator(seed)
    hidden = torch.randn(size, length, 3, dtype=torch.float64, generator=source)
    rows = torch.randint(size, (size, count), generator=source)
    rows[:, 0] = torch.arange(size)
    weights = torch.rand(size, count, dtype=torch.float64, generator=source).softmax(dim=1)
    return hidden, rows, weights, random_mask(size, length, source)


def close(result: torch.Tensor, expected: list) -> None:
    torch.testing.assert_close(result, torch.tensor(expected, dtype=torch.float64), atol=1e-12, rtol=1e-12)


@given(
    size=st.integers(1, 33),
    count=st.integers(2, 6),
    length=st.integers(1, 6),
    padding=st.sampled_from(PADDINGS),
    seed=st.integers(0, 2**16),
)
@settings(deadline=None, max_examples=60)
def test_blend_equals_a_plain_loop(size: int, count: int, length: int, padding: str, seed: int) -> None:
    hidden, rows, weights, mask = drawn(size, count, length, seed)
    expected = loops.blend(hidden.tolist(), rows.tolist(), weights.tolist(), mask.tolist(), padding)
    spoilt = torch.where(mask.unsqueeze(-1), hidden, 1e30)
    close(blend(spoilt, rows, weights, mask, padding), expected)
    # Without a mask, and on sentence vectors.
    close(blend(hidden, rows, weights), loops.blend(hidden.tolist(), rows.tolist(), weights.tolist()))
    vectors = hidden[:, 0]
    close(blend(vectors, rows, weights), loops.blend(vectors.tolist(), rows.tolist(), weights.tolist()))


@given(
    size=st.integers(1, 33),
    alike=st.booleans(),
    length=st.integers(1, 6),
    padding=st.sampled_from(PADDINGS),
    seed=st.integers(0, 2**16),
)
@settings(deadline=None, max_examples=40)
def test_weights_for_each_dimension_equal_a_loop(size: int, alike: bool, length: int, padding: str, seed: int) -> None:
    hidden, rows, _, mask = drawn(size, 2, length, seed)
    dims = torch.rand(1 if alike else size, 3, dtype=torch.float64, generator=generator(seed))
    everywhere = torch.ones_like(mask)
    for real in (mask, everywhere):
        expected = loops.blend_dimensions(hidden.tolist(), rows[:, 1].tolist(), dims.tolist(), real.tolist(), padding)
        spoilt = torch.where(real.unsqueeze(-1), hidden, 1e30)
        close(blend(spoilt, rows, stack_pair(dims), real, padding), expected)
    close(blend(hidden, rows, stack_pair(dims)), expected)


def test_blend_by_hand() -> None:
    hidden = torch.tensor([[1.0, 2.0], [5.0, 10.0]])
    weights = torch.tensor([[0.75, 0.25], [0.5, 0.5]])
    assert blend(hidden, torch.tensor([[0, 1], [1, 0]]), weights).tolist() == [[2.0, 4.0], [3.0, 6.0]]


def test_pads_are_zeros_or_not_there() -> None:
    hidden = torch.tensor([[[1.0], [2.0]], [[3.0], [1e30]], [[5.0], [6.0]]])
    mask = torch.tensor([[True, True], [True, False], [True, True]])
    pairs, half = torch.tensor([[0, 1], [1, 0], [2, 1]]), torch.full((3, 2), 0.5)
    assert blend(hidden, pairs, half, mask, "zero").flatten().tolist() == [2, 1, 2, 1, 4, 3]
    assert blend(hidden, pairs, half, mask, "copy").flatten().tolist() == [2, 2, 2, 2, 4, 6]
    assert blend(hidden, pairs, half, mask).flatten().tolist() == [2, 1, 2, 1, 4, 3]
    threes, weights = torch.tensor([[0, 1, 2]] * 3), torch.tensor([[0.25, 0.5, 0.25]] * 3)
    assert blend(hidden, threes, weights, mask, "copy")[0].flatten().tolist() == [3, 4]


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("lam", [0.0, 1.0])
def test_the_ends_of_lam_are_exact(lam: float, padding: str) -> None:
    hidden = torch.randn(4, 5, 3, generator=generator())
    rows, mask = torch.tensor([[0, 1], [1, 2], [2, 3], [3, 0]]), torch.ones(4, 5, dtype=torch.bool)
    weights = torch.tensor([[lam, 1 - lam]] * 4)
    expected = hidden if lam else hidden[rows[:, 1]]
    assert torch.equal(blend(hidden, rows, weights, mask, padding), expected)


@pytest.mark.parametrize("count", [2, 3, 6])
def test_a_row_that_weighs_nothing_is_still_all_there_is_where_no_other_is_real(count: int) -> None:
    hidden = torch.randn(count, 2, 3, generator=generator())
    mask = torch.tensor([[True, True]] + [[True, False]] * (count - 1))
    rows = (torch.arange(count).unsqueeze(1) + torch.arange(count)) % count
    blended = blend(hidden, rows, (rows == 1).float(), mask, "copy")
    torch.testing.assert_close(blended[:, 0], hidden[1, 0].expand(count, -1))
    torch.testing.assert_close(blended[:, 1], hidden[0, 1].expand(count, -1))


@pytest.mark.parametrize("padding", PADDINGS)
def test_a_row_that_is_its_own_partner_stays(padding: str) -> None:
    hidden, _, weights, mask = drawn(5, 2, 6, seed=3)
    own = torch.arange(5).unsqueeze(1).expand(-1, 2)
    kept = torch.where(mask.unsqueeze(-1), hidden, 0)
    close(blend(hidden, own, weights, mask, padding), kept.tolist())
    close(blend(hidden, own, stack_pair(weights[:, :1].expand(-1, 3)), mask, padding), kept.tolist())
    assert torch.equal(blend(hidden, own, weights), hidden)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("count", [2, 3, 6])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_dtype_is_kept(dtype: torch.dtype, count: int, padding: str) -> None:
    hidden, rows, weights, mask = drawn(4, count, 5, seed=1)
    exact = blend(hidden, rows, weights, mask, padding)
    blended = blend(hidden.to(dtype), rows, weights.float(), mask, padding)
    assert blended.dtype == dtype
    tolerance = 4 * torch.finfo(dtype).eps if dtype != torch.float64 else 1e-6
    torch.testing.assert_close(blended.double(), exact, atol=tolerance * 4, rtol=tolerance)
    dims = torch.rand(1, 3, generator=generator())
    if count == 2:
        assert blend(hidden.to(dtype), rows, stack_pair(dims), mask, padding).dtype == dtype


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("count", [2, 3, 6])
def test_autocast_does_not_round_the_blend(count: int, padding: str) -> None:
    hidden, rows, weights, mask = drawn(4, count, 5, seed=2)
    hidden = hidden.float()
    exact = blend(hidden, rows, weights.float(), mask, padding)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(blend(hidden, rows, weights.float(), mask, padding), exact)


@pytest.mark.parametrize("count", [2, 3])
def test_gradients_flow_to_every_real_position(count: int) -> None:
    hidden, rows, weights, mask = drawn(6, count, 5, seed=4)
    hidden.requires_grad_()
    blend(hidden, rows, weights, mask, "copy").sum().backward()
    assert torch.isfinite(hidden.grad).all()
    used = {j for row in rows.tolist() for j in row}
    for j in range(6):
        reached = (hidden.grad[j] != 0).all(dim=-1)
        assert torch.equal(reached, mask[j] & (j in used))


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("count", [2, 3, 6])
def test_gradients_equal_finite_differences(count: int, padding: str) -> None:
    hidden, rows, weights, mask = drawn(6, count, 4, seed=5)
    rows[1], rows[2] = rows[0], rows[0].flip(0)  # rows that several others take, and one that takes another twice
    hidden.requires_grad_()
    assert torch.autograd.gradcheck(lambda given: blend(given, rows, weights, mask, padding), hidden)
    assert torch.autograd.gradcheck(lambda given: blend(given, rows, weights), hidden)
    if count == 2:
        dims = torch.rand(6, 3, dtype=torch.float64, generator=generator())
        assert torch.autograd.gradcheck(lambda given: blend(given, rows, stack_pair(dims), mask, padding), hidden)


class TestUnionMask:
    OWN = ((1, 1, 0, 0), (1, 0, 0, 0), (0, 0, 1, 1))
    ROWS = ((0, 2), (1, 0), (2, 1))
    UNITED = ((True, True, True, True), (True, True, False, False), (True, False, True, True))

    def mask(self, dtype: torch.dtype) -> torch.Tensor:
        own = torch.tensor(self.OWN)
        return own.to(dtype) if dtype != torch.float32 else (1.0 - own) * torch.finfo(torch.float32).min

    @pytest.mark.parametrize("dtype", [torch.long, torch.bool, torch.float32])
    def test_it_attends_to_what_any_of_the_rows_does(self, dtype: torch.dtype) -> None:
        united = union_mask(self.mask(dtype), torch.tensor(self.ROWS))
        assert united.dtype == dtype
        real = united == 0 if dtype == torch.float32 else united.bool()
        assert real.tolist() == [list(row) for row in self.UNITED]

    @pytest.mark.parametrize("dtype", [torch.long, torch.bool, torch.float32])
    @pytest.mark.parametrize("count", [1, 2, 3, 5])
    def test_several_rows_equal_a_plain_loop(self, count: int, dtype: torch.dtype) -> None:
        source = generator(count)
        mask = random_mask(5, 6, source)
        rows = torch.randint(5, (5, count), generator=source)
        rows[:, 0] = torch.arange(5)
        given = mask.to(dtype) if dtype != torch.float32 else (~mask).float() * -1e9
        united = union_mask(given, rows)
        real = united == 0 if dtype == torch.float32 else united.bool()
        expected = [[any(mask[j, t] for j in numbers) for t in range(6)] for numbers in rows.tolist()]
        assert real.tolist() == expected

    @pytest.mark.parametrize("dim", [0, 1, 2])
    def test_the_batch_may_lie_in_any_dimension(self, dim: int) -> None:
        mask = self.mask(torch.bool).unsqueeze(1).expand(-1, 2, -1)  # (B, 2, L)
        united = union_mask(mask.transpose(0, dim), torch.tensor(self.ROWS), dim).transpose(0, dim)
        assert united[:, 0].tolist() == united[:, 1].tolist() == [list(row) for row in self.UNITED]

    def test_a_shared_mask_is_left_alone(self) -> None:
        shared = torch.zeros(1, 1, 4, 4)
        assert union_mask(shared, torch.tensor([[0, 1], [1, 0]])) is shared
        other_way = torch.zeros(4, 4, 1)
        assert union_mask(other_way, torch.tensor([[0, 1], [1, 0]]), dim=2) is other_way

    def test_rows_without_partners_keep_their_mask_also_when_there_are_as_many_as_rows(self) -> None:
        mask = torch.tensor([[1, 0, 0], [1, 1, 1], [1, 1, 0]])
        assert torch.equal(union_mask(mask, torch.tensor([[0] * 3, [1] * 3, [2] * 3])), mask)

    @pytest.mark.parametrize("dtype", [torch.long, torch.int32, torch.uint8])
    def test_products_of_a_mask_with_itself_stay_products(self, dtype: torch.dtype) -> None:
        own = torch.tensor(self.OWN)
        products = (own[:, None, :, None] * own[:, None, None, :]).to(dtype)
        united = union_mask(products, torch.tensor(self.ROWS))
        real = torch.tensor(self.UNITED)
        assert united.dtype == dtype
        assert torch.equal(united.bool(), real[:, None, :, None] & real[:, None, None, :])

    @pytest.mark.parametrize("dtype", [torch.bool, torch.float32])
    @pytest.mark.parametrize("attends", ["to everything", "to nothing"])
    def test_tokens_in_front_of_a_text_add_nothing_to_the_union(self, dtype: torch.dtype, attends: str) -> None:
        causal = torch.ones(4, 4, dtype=torch.bool).tril()
        own = torch.tensor([[0, 0, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1]]).bool()
        allowed = causal & own[:, None, None, :]
        filled = allowed | (~allowed.any(dim=-1, keepdim=True) if attends == "to everything" else False)
        mask = filled if dtype == torch.bool else (~filled).float() * torch.finfo(torch.float32).min
        rows = torch.tensor([[0, 1], [1, 2], [2, 0]])
        united = union_attention(mask, rows, own)
        assert united.dtype == dtype
        expected = causal & (own[rows[:, 0]] | own[rows[:, 1]])[:, None, None, :]
        real = united if dtype == torch.bool else united == 0
        assert torch.equal(real[0, 0, 2:], expected[0, 0, 2:])
        assert torch.equal(real[1:], expected[1:])
        assert torch.equal(united[0, 0, :2], mask[0, 0, :2])  # padding in both

    @pytest.mark.parametrize("dtype", [torch.bool, torch.float32])
    def test_causal_masks_stay_causal(self, dtype: torch.dtype) -> None:
        causal = torch.ones(4, 4, dtype=torch.bool).tril()
        allowed = causal & self.mask(torch.bool)[:, None, None, :]
        mask = allowed if dtype == torch.bool else (~allowed).float() * -1e9
        united = union_mask(mask, torch.tensor(self.ROWS))
        real = united if dtype == torch.bool else united == 0
        assert torch.equal(real, causal & torch.tensor(self.UNITED)[:, None, None, :])


@pytest.mark.parametrize("dims", [3, 4])
def test_position_biases_of_united_rows_number_their_positions(dims: int) -> None:
    mask = torch.tensor([[1, 1, 0, 0, 0], [0, 0, 0, 1, 1], [1, 0, 1, 0, 1]]).bool()
    rows, slopes = torch.tensor([[0, 1], [1, 2], [2, 2]]), [0.5, 0.25]

    def biases(real: list[list[int]]) -> torch.Tensor:
        numbers = [[sum(row[:place]) if one else 0 for place, one in enumerate(row)] for row in real]
        found = torch.tensor([[[slope * number for number in row] for slope in slopes] for row in numbers])
        return found.view(6, 1, 5) if dims == 3 else found.view(3, 2, 1, 5)

    united = [[1, 1, 0, 1, 1], [1, 0, 1, 1, 1], [1, 0, 1, 0, 1]]
    torch.testing.assert_close(union_alibi(biases(mask.int().tolist()), mask, rows), biases(united))


def test_position_biases_of_rows_of_one_position_stay_zero() -> None:
    mask = torch.tensor([[True, False], [True, False]])
    assert union_alibi(torch.zeros(4, 1, 2), mask, torch.tensor([[0, 1], [1, 0]])).eq(0).all()
