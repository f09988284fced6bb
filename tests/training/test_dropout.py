import pytest
import torch
from torch import nn

from textmix.training.dropout import ByteDropout, byte_dropout, draw_noise


@pytest.mark.parametrize("keep", [0.9, 0.5, 0.3, 0.999, 1 / 512])
def test_the_chance_is_exact(keep: float) -> None:
    torch.manual_seed(0)
    size = 4_000_000
    mask = draw_noise(size, keep, torch.float32) > 0
    error = (keep * (1 - keep) / size) ** 0.5
    # Bytes alone would miss 0.9 by 0.0016, eleven standard errors.
    assert abs(mask.double().mean().item() - keep) < 4 * error
    # Neighbours are independent.
    both = (mask[1:] & mask[:-1]).double().mean().item()
    assert abs(both - keep**2) < 5 * (keep**2 / size) ** 0.5


def test_draws_follow_torch_s_seed_and_move_its_generator_on() -> None:
    torch.manual_seed(5)
    first, second = draw_noise(100, 0.5, torch.float32), draw_noise(100, 0.5, torch.float32)
    torch.manual_seed(5)
    assert torch.equal(draw_noise(100, 0.5, torch.float32), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_what_stays_is_scaled_and_so_is_its_gradient(dtype: torch.dtype) -> None:
    module, given = ByteDropout(0.25), torch.ones(40, 50, dtype=dtype, requires_grad=True)
    output = module(given)
    assert output.dtype == dtype
    scaled = torch.tensor(1 / 0.75, dtype=dtype)
    assert set(output.flatten().tolist()) == {0.0, scaled.item()}
    output.sum().backward()
    assert torch.equal(given.grad, output.detach())


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_the_ends_and_evaluation_are_those_of_dropout(rate: float) -> None:
    given = torch.randn(3, 4)
    assert torch.equal(ByteDropout(rate)(given), nn.Dropout(rate)(given))
    assert ByteDropout(0.5).eval()(given) is given


def test_a_model_is_left_as_it_was() -> None:
    class Own(nn.Dropout):
        """A dropout of somebody else's, with a forward of its own."""

    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5), Own(0.5))
    with byte_dropout(model):
        assert [type(module) for module in model] == [nn.Linear, ByteDropout, Own]
    assert [type(module) for module in model] == [nn.Linear, nn.Dropout, Own]
