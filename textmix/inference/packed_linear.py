"""Linear layers whose weights are packed, and optionally rounded, in advance, for faster prediction."""

import platform

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from textmix.io.compat import pack_weight, packed_linear

# Ratio of the sizes of the inner and the outer layer of a transformer's feed-forward network (Vaswani et al. 2017).
_FEED_FORWARD = 4


class PackedLinear(nn.Linear):
    """A linear layer for prediction; it can be neither trained nor saved.

    On an x86 CPU its weight is stored in the layout that oneDNN computes with. torch multiplies float32 matrices with
    MKL, which leaves half of the vector units of an AMD processor idle; oneDNN uses them all. In bfloat16 the stored
    layout need not be made for each batch.

    Args:
        linear: The layer to pack.
        dtype: Type that its weight and inputs are rounded to. The output has the type of the original weight, so that
            sums and normalisations between linear layers keep their precision. A layer with at least four times as many
            outputs as inputs returns `dtype`, because the next layer would round its activation anyway.
    """

    def __init__(self, linear: nn.Linear, dtype: torch.dtype) -> None:
        super().__init__(linear.in_features, linear.out_features, bias=False, device="meta")
        weight = linear.weight.detach().to(dtype)
        usable = (
            weight.device.type == "cpu"
            and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
            and platform.machine() in ("x86_64", "AMD64")
        )
        packed = pack_weight(weight) if usable else None
        self._packed = packed is not None
        self.weight = nn.Parameter(weight if packed is None else packed, requires_grad=False)
        # The bias is not rounded: its error would be the same in every row.
        self.bias = None if linear.bias is None else nn.Parameter(linear.bias.detach(), requires_grad=False)
        widens = linear.out_features >= _FEED_FORWARD * linear.in_features
        self._result = dtype if widens else linear.weight.dtype

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # the name in nn.Linear
        """Map (..., in_features) to (..., out_features)."""
        rounded = input.to(self.weight.dtype)
        if self._packed:
            mapped = packed_linear(rounded, self.weight, self.bias)
        else:
            mapped = F.linear(rounded, self.weight, None if self.bias is None else self.bias.to(rounded.dtype))
        return mapped.to(self._result)


def pack_linears(model: PreTrainedModel, dtype: torch.dtype) -> bool:
    """Pack the linear layers of a model in place, except the last one, which computes the logits.

    Args:
        model: A classifier.
        dtype: Type that weights and inputs of linear layers are rounded to.

    Returns:
        Whether any layer was packed.
    """
    packed = False
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            # Subclasses may compute something else.
            if type(child) is nn.Linear and child.out_features != model.config.num_labels:
                setattr(parent, name, PackedLinear(child, dtype))
                packed = True
    return packed
