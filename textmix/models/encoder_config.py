"""MixupEncoderConfig: the configuration of a classifier on an encoder."""

from typing import Any

from transformers import AutoConfig, PretrainedConfig


def _of_encoder(name: str, meaning: str) -> property:
    """Make a property of a value that is kept in one place, the encoder's configuration."""

    def get(config: "MixupEncoderConfig") -> Any:
        return getattr(config.get_text_config(), name)

    def set_to(config: "MixupEncoderConfig", value: Any) -> None:
        setattr(config.get_text_config(), name, value)

    return property(get, set_to, doc=meaning)


class MixupEncoderConfig(PretrainedConfig):
    """Configuration of `MixupForSequenceClassification` and `MixupForTokenClassification`.

    Args:
        encoder: Configuration of the encoder, of any architecture that `AutoModel` knows; only the encoder of an
            encoder-decoder is used.
        pooling: `cls`, `last`, `mean`, `max` or `attention`; token classifiers do not pool.
        normalize: Divide sentence vectors by their length.
        classifier_dropout: Dropout before the linear layer. Default: 0.1, as in BERT (Devlin et al. 2019).
        mix: Fields of the `MixConfig` that was given to `from_pretrained`, or None.
    """

    model_type = "textmix-encoder"
    sub_configs = {"encoder": AutoConfig}  # noqa: RUF012

    # Annotations without values: transformers < 5 knows no fields, later versions compare configurations by them.
    encoder: PretrainedConfig
    pooling: str
    normalize: bool
    classifier_dropout: float
    mix: dict[str, Any] | None

    def __init__(
        self,
        encoder: PretrainedConfig | dict[str, Any] | None = None,
        pooling: str = "cls",
        classifier_dropout: float = 0.1,
        mix: dict[str, Any] | None = None,
        normalize: bool = False,
        **kwargs: Any,
    ) -> None:
        # transformers builds one without arguments to find the defaults.
        self.encoder = encoder if isinstance(encoder, PretrainedConfig) else _from_fields(encoder or {})
        self.pooling = pooling
        self.normalize = normalize
        self.classifier_dropout = classifier_dropout
        self.mix = mix
        super().__init__(**kwargs)  # last: it sets the attention implementation of the encoder, too

    def get_text_config(self, decoder: bool | None = None, encoder: bool | None = None) -> PretrainedConfig:
        """Return the configuration of the text model, which is the encoder's; arguments as in transformers."""
        config: PretrainedConfig = self.encoder.get_text_config(decoder=decoder, encoder=encoder)
        return config

    vocab_size = _of_encoder("vocab_size", "Number of token ids of the encoder.")
    hidden_size = _of_encoder("hidden_size", "Size of the encoder's hidden states.")
    num_hidden_layers = _of_encoder("num_hidden_layers", "Number of layers of the encoder.")
    num_attention_heads = _of_encoder("num_attention_heads", "Number of attention heads of each layer of the encoder.")


def _from_fields(fields: dict[str, Any]) -> PretrainedConfig:
    config: PretrainedConfig = AutoConfig.for_model(**{"model_type": "bert", **fields})
    return config
