"""Build and load the encoder of a classifier: any architecture that `AutoModel` knows."""

import inspect
from typing import Any

from transformers import AutoModel, AutoModelForTextEncoding, PretrainedConfig, PreTrainedModel

from textmix.io.compat import model_class


def dropout_options(config: PretrainedConfig, dropout: float | None) -> dict[str, float]:
    """Return every dropout option of an encoder's configuration, set to one rate; names differ by architecture."""
    if dropout is None:
        return {}
    rates = {name: value for name, value in config.to_dict().items() if "dropout" in name}
    return {name: dropout for name, value in rates.items() if isinstance(value, float | int)}


def _auto_class(config: PretrainedConfig) -> Any:
    """Choose the Auto class: the one for the encoder alone where a family has it (T5), so that less is loaded."""
    return AutoModel if model_class(AutoModelForTextEncoding, config) is None else AutoModelForTextEncoding


def _encoder_options(config: PretrainedConfig) -> dict[str, Any]:
    # The pooling of textmix replaces the encoder's pooler; unused parameters would break DDP.
    architecture = model_class(_auto_class(config), config)
    takes_option = architecture is not None and "add_pooling_layer" in inspect.signature(architecture).parameters
    return {"add_pooling_layer": False} if takes_option else {}


def _without_decoder(model: PreTrainedModel) -> PreTrainedModel:
    return model.get_encoder() if model.config.is_encoder_decoder else model


def build_encoder(config: PretrainedConfig) -> PreTrainedModel:
    """Build an encoder with random weights, without pooler and decoder."""
    return _without_decoder(_auto_class(config).from_config(config, **_encoder_options(config)))


def load_encoder(
    path: str | None, config: PretrainedConfig, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Load an encoder, without pooler and decoder.

    Args:
        path: Directory or hub id; None takes the weights of `state_dict` in `kwargs`.
        config: Its configuration.
        args: Passed to transformers.
        kwargs: Passed to transformers.

    Returns:
        The encoder, and what transformers reports of the loading.
    """
    options = {**_encoder_options(config), **kwargs, "output_loading_info": True}
    model, info = _auto_class(config).from_pretrained(path, *args, config=config, **options)
    return _without_decoder(model), info
