"""The exponential moving average of the weights, by torch."""

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def averaged(model: nn.Module, decay: float) -> AveragedModel:
    """Make a copy of a model that follows the average of its weights.

    After each step of the optimizer `update_parameters(model)` sets every weight of the copy, `copy.module`, to
    `decay * average + (1 - decay) * weight`, starting with the weights after the first step (Polyak and Juditsky 1992
    show what averaging gains; Tarvainen and Valpola 2017 use this form). Buffers are copied, not averaged.

    Args:
        model: The model that is trained, without a mixer.
        decay: In (0, 1).
    """
    # Counts its updates on the CPU, so that a GPU need not be waited for; `.module` goes to the model's device.
    copy = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]
    copy.requires_grad_(False)
    return copy
