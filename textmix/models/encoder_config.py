"""MixupEncoderConfig: the configuration of a classifier on an encoder."""

from typing import Any

from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec


def _of_encoder(name: str, meaning: str) -> property:
    """Make a property of a value that is kept in one place, the encoder's configuration."""

    def get(config: "MixupEncoderConfig") -> Any:
        return getattr(config.get_text_config(), name)

    def set_to(config: "MixupEncoderConfig", value: Any) -> None:
        setattr(config.get_text_config(), name, value)

    return property(get, set_to, doc=meaning)


class MixupEncoderConfig(PreTrainedConfig):
    """Configuration of `MixupForSequenceClassification` and `MixupForTokenClassification`.

    Args:
        encoder: Configuration of the encoder, of any architecture that `AutoModel` knows; only the encoder of an
            encoder-decoder is used.
        pooling: `cls`, `last`, `mean`, `max` or `attention`; token classifiers do not pool.
        classifier_dropout: Dropout before the linear layer. Default: 0.1, as in BERT (Devlin et al. 2019).
        mix: Fields of the `MixConfig` that was given to `from_pretrained`, or None.
    """

    model_type = "textmix-encoder"
    sub_configs_defaults = {"encoder": SubConfigSpec(config_class=AutoConfig, model_type="bert")}  # noqa: RUF012

    encoder: PreTrainedConfig | dict[str, Any] | None = None
    pooling: str = "cls"
    classifier_dropout: float | int = 0.1
    mix: dict[str, Any] | None = None

    def get_text_config(self, decoder: bool | None = None, encoder: bool | None = None) -> PreTrainedConfig:
        """Return the configuration of the text model, which is the encoder's; arguments as in transformers."""
        assert isinstance(self.encoder, PreTrainedConfig)  # transformers has built it
        config: PreTrainedConfig = self.encoder.get_text_config(decoder=decoder, encoder=encoder)
        return config

    vocab_size = _of_encoder("vocab_size", "Number of token ids of the encoder.")
    hidden_size = _of_encoder("hidden_size", "Size of the encoder's hidden states.")
    num_hidden_layers = _of_encoder("num_hidden_layers", "Number of layers of the encoder.")
    num_attention_heads = _of_encoder("num_attention_heads", "Number of attention heads of each layer of the encoder.")
