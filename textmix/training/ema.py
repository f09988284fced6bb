"""The exponential moving average of the weights, computed by torch."""

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def averaged(model: nn.Module, decay: float) -> AveragedModel:
    """Copy a model; the copy holds the average of its weights.

    After each optimizer step `update_parameters(model)` sets every weight of the copy, `copy.module`, to
    `decay * average + (1 - decay) * weight`, starting with the weights after the first step (Polyak and Juditsky 1992
    show what averaging gains; Tarvainen and Valpola 2017 use this form). Buffers are copied, not averaged.

    Args:
        model: The trained model, without a mixer.
        decay: In (0, 1).
    """
    # The number of updates stays on the CPU, so that a GPU is not synchronised; `.module` moves to the model's device.
    copy = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]
    copy.requires_grad_(False)
    return copy
