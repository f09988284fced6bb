"""Linear maps laid out and rounded beforehand, for prediction."""

import platform

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from textmix.io.compat import pack_weight, packed_linear

# How much wider the middle of a transformer's feed-forward part is than its ends (Vaswani et al. 2017).
_FEED_FORWARD = 4


class PackedLinear(nn.Linear):
    """A linear map for prediction, which can be neither trained nor saved.

    On an x86 CPU its weight has the layout that oneDNN computes with. torch multiplies float32 matrices with MKL, which
    leaves half of the vector units of an AMD processor idle; oneDNN does not, and in bfloat16 a layout made once spares
    making it for each batch.

    Args:
        linear: The map to pack.
        dtype: What its weight and inputs are rounded to. Results come in the type that the weight had, so that sums and
            normalisations between linear maps keep their precision; but those of a map to four times the width, whose
            activation the next map would round in any case, stay as they are.
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
        # Never rounded: its error would be the same in every row.
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
    """Pack the linear maps of a model in place; the last one, which makes the logits, keeps its precision.

    Args:
        model: A classifier.
        dtype: What weights and inputs of linear maps are rounded to.

    Returns:
        Whether there were any; else the model is as it was.
    """
    packed = False
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            # Subclasses compute something of their own.
            if type(child) is nn.Linear and child.out_features != model.config.num_labels:
                setattr(parent, name, PackedLinear(child, dtype))
                packed = True
    return packed
