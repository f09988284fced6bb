import copy

import pytest
import torch
from torch import nn

from tests.support.families import QUICK, fresh
from textmix.inference.packed_linear import PackedLinear, pack_linears


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5, 12), (2, 3, 12), (0, 12)])
def test_a_packed_map_computes_what_the_map_does(shape: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(0)
    linear, hidden = nn.Linear(12, 7, bias=bias), torch.randn(shape)
    torch.testing.assert_close(PackedLinear(linear, torch.float32)(hidden), linear(hidden))
    rounded = PackedLinear(linear, torch.bfloat16)(hidden)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, linear(hidden), atol=0.03, rtol=0.02)
    if len(hidden):
        assert not torch.equal(rounded, linear(hidden))


def test_between_two_maps_of_a_feed_forward_part_nothing_is_lost_that_the_second_would_not_round() -> None:
    torch.manual_seed(0)
    up, down, hidden = nn.Linear(12, 48), nn.Linear(48, 12), torch.randn(5, 12)
    rounded = PackedLinear(up, torch.bfloat16)(hidden)
    assert rounded.dtype == torch.bfloat16
    packed = PackedLinear(down, torch.bfloat16)
    assert packed(nn.functional.gelu(rounded)).dtype == torch.float32
    torch.testing.assert_close(
        packed(nn.functional.gelu(rounded)), packed(nn.functional.gelu(rounded.float())), atol=0, rtol=0
    )


def test_transposed_inputs() -> None:
    linear, hidden = nn.Linear(12, 7), torch.randn(3, 12, 4).transpose(1, 2)
    torch.testing.assert_close(PackedLinear(linear, torch.float32)(hidden), linear(hidden))


@pytest.mark.parametrize("name", QUICK)
def test_packed_models_give_the_same_logits(name: str, ragged: dict[str, torch.Tensor]) -> None:
    model = fresh(name).float().eval()
    inputs = {key: value for key, value in ragged.items() if key != "labels"}
    with torch.inference_mode():
        expected = model(**inputs).logits
        for dtype, tolerance in ((torch.float32, 1e-5), (torch.bfloat16, 2e-2)):
            packed = copy.deepcopy(model)
            pack_linears(packed, dtype)
            torch.testing.assert_close(packed(**inputs).logits, expected, atol=tolerance, rtol=tolerance)
            kinds = {type(module) for module in packed.modules() if getattr(module, "out_features", 3) != 3}
            assert kinds <= {PackedLinear}
