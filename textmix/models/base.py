"""MixupEncoderConfig and MixupModel: a classifier on an encoder of any architecture, with mixing attached."""

import inspect
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoModelForTextEncoding,
    PretrainedConfig,
    PreTrainedModel,
)

from textmix.errors import ConfigError, ModelError
from textmix.hooks.attach import attach
from textmix.io.compat import attention_implementation, model_class
from textmix.mixing.config import MixConfig
from textmix.models.bundled import resolve_model_path
from textmix.models.pooling import PoolingName
from textmix.models.pooling_choice import choose_pooling

_CONFIG_KEYS = ("num_labels", "id2label", "label2id", "problem_type", "classifier_dropout")
_HUB_KEYS = ("revision", "cache_dir", "token", "subfolder", "trust_remote_code", "local_files_only", "force_download")

HeadName = Literal["linear", "native"]


class MixupEncoderConfig(PretrainedConfig):
    """Configuration of `MixupForSequenceClassification` and `MixupForTokenClassification`.

    Args:
        encoder: Configuration of the encoder, of any architecture that `AutoModel` knows; only the encoder of an
            encoder-decoder is used.
        pooling: `cls`, `last`, `mean`, `max` or `attention`; token classifiers do not pool.
        classifier_dropout: Dropout before the linear layer. Default: 0.1, as in BERT (Devlin et al. 2019).
        mix: Fields of the `MixConfig` that was given to `from_pretrained`, or None.
    """

    model_type = "textmix-encoder"
    sub_configs = {"encoder": AutoConfig}  # noqa: RUF012

    # Annotations without values: transformers < 5 knows no fields, later versions compare configurations by them.
    encoder: PretrainedConfig
    pooling: str
    classifier_dropout: float
    mix: dict[str, Any] | None

    def __init__(
        self,
        encoder: PretrainedConfig | dict[str, Any] | None = None,
        pooling: str = "cls",
        classifier_dropout: float = 0.1,
        mix: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        # transformers builds one without arguments to find the defaults.
        self.encoder = encoder if isinstance(encoder, PretrainedConfig) else _from_fields(encoder or {})
        self.pooling = pooling
        self.classifier_dropout = classifier_dropout
        self.mix = mix
        super().__init__(**kwargs)  # last: it sets the attention implementation of the encoder, too


class MixupModel(PreTrainedModel):
    """Base class of the classifiers: an encoder with dropout and one linear layer.

    Args:
        config: Its configuration; `config.mix` attaches a mixer.
        encoder: A loaded encoder that matches `config.encoder`; None builds one with random weights.
    """

    config: MixupEncoderConfig
    config_class = MixupEncoderConfig
    base_model_prefix = "encoder"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _native: ClassVar[Any] = AutoModelForSequenceClassification

    def __init__(self, config: MixupEncoderConfig, encoder: PreTrainedModel | None = None) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels or 0
        self.encoder = encoder if encoder is not None else _build_encoder(config)
        # Share one object, so that later changes of the encoder's configuration (attention, dtype) are saved too.
        config.encoder = self.encoder.config
        self._build_head(self.encoder.config.get_text_config().hidden_size)
        if encoder is not None:  # it may be in half precision
            for child in self.children():
                child.to(encoder.dtype)
        self.post_init()  # type: ignore[no-untyped-call]
        if config.mix is not None:
            attach(self, MixConfig(**config.mix))

    def _build_head(self, hidden_size: int) -> None:
        self.dropout = nn.Dropout(self.config.classifier_dropout)
        self.classifier = nn.Linear(hidden_size, self.num_labels)

    def _encode(
        self,
        input_ids: Tensor | None,
        attention_mask: Tensor | None,
        inputs_embeds: Tensor | None,
        kwargs: dict[str, Any],
    ) -> Tensor:
        """Run the encoder; returns hidden states of shape (B, L, H)."""
        kwargs["return_dict"] = True
        hidden: Tensor = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, inputs_embeds=inputs_embeds, **kwargs
        ).last_hidden_state
        return hidden

    @classmethod
    def _load(
        cls,
        name: str | Path,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        mix: MixConfig | None,
        head: HeadName,
        pooling: PoolingName | Literal["auto"],
        encoder_dropout: float | None,
    ) -> Self:
        """Load an encoder and put a new classifier on it, or load a saved classifier; see `from_pretrained`."""
        if kwargs.pop("output_loading_info", False):
            raise ConfigError("from_pretrained returns only the model; leave out output_loading_info")
        if head not in ("linear", "native"):
            raise ConfigError(f"head must be linear or native, not '{head}'")
        path = resolve_model_path(str(name))
        # By default neither pickled weights are loaded nor code in the checkpoint is run.
        kwargs.setdefault("use_safetensors", True)
        kwargs.setdefault("trust_remote_code", False)
        if "torch_dtype" not in kwargs:  # its older name
            kwargs.setdefault("dtype", "auto")  # the default of transformers 5; 4.57 would load in float32
        hub = {key: kwargs[key] for key in _HUB_KEYS if key in kwargs}
        config = kwargs.get("config") or AutoConfig.from_pretrained(path, **hub)
        if head == "native":
            if pooling != "auto":
                raise ConfigError("model.pooling has no effect with model.head native; leave it at auto")
            native: Self = cls._load_native(path, config, args, kwargs, encoder_dropout)
            if mix is not None:
                attach(native, mix)
            return native
        if isinstance(config, MixupEncoderConfig):
            _check_saved(path, config, cls.__name__, pooling)
            return cls._load_saved(path, config, args, kwargs, mix, encoder_dropout)
        pooling = choose_pooling(path, config) if pooling == "auto" else pooling
        config.update(_dropout_options(config, encoder_dropout))
        model = cls._on_encoder(path, config, args, kwargs, {"pooling": pooling, "mix": mix and asdict(mix)})
        # Save the given name, not the path on this machine: a saved configuration is read on other machines.
        model.encoder.config.name_or_path = str(name)
        return model

    @classmethod
    def _load_native(
        cls, path: str, config: PretrainedConfig, args: tuple[Any, ...], kwargs: dict[str, Any], dropout: float | None
    ) -> Any:
        """Load the classifier that transformers has for the architecture."""
        if kwargs.pop("classifier_dropout", None) is not None:
            raise ConfigError("classifier_dropout has no effect with head native; leave it out")
        return cls._native.from_pretrained(path, *args, **_dropout_options(config, dropout), **kwargs)

    @classmethod
    def _load_saved(
        cls,
        path: str,
        config: "MixupEncoderConfig",
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        mix: MixConfig | None,
        dropout: float | None,
    ) -> Self:
        """Load a classifier saved by `save_pretrained`."""
        if mix is not None:
            kwargs["config"] = config
            config.mix = asdict(mix)
        if dropout is not None:
            kwargs["config"] = config
            config.encoder.update(_dropout_options(config.encoder, dropout))
        given = {key: value for key, value in kwargs.items() if value is not None}
        return super().from_pretrained(path, *args, **given)

    @classmethod
    def _on_encoder(
        cls,
        path: str,
        config: PretrainedConfig,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: dict[str, Any],
    ) -> Self:
        """Load an encoder and put a new classifier on it."""
        kwargs.pop("config", None)
        given = {key: kwargs.pop(key, None) for key in _CONFIG_KEYS}
        options |= {key: value for key, value in given.items() if value is not None}
        if "id2label" in options:
            options.pop("num_labels", None)
        encoder = _load_encoder(path, config, *args, **kwargs)
        # A composite configuration sets its attention implementation on its parts; it must be the encoder's.
        options["attn_implementation"] = attention_implementation(encoder.config)
        return cls(MixupEncoderConfig(encoder=encoder.config, **options), encoder=encoder)


def _from_fields(fields: dict[str, Any]) -> PretrainedConfig:
    config: PretrainedConfig = AutoConfig.for_model(**{"model_type": "bert", **fields})
    return config


def _check_saved(path: str, config: MixupEncoderConfig, wanted: str, pooling: str) -> None:
    saved = (config.architectures or [wanted])[0]
    if saved != wanted:
        raise ModelError(f"{path} was saved as a {saved}; it cannot be loaded as a {wanted}")
    if pooling not in ("auto", config.pooling):
        raise ConfigError(f"{path} was saved with pooling {config.pooling}; it cannot be loaded with {pooling}")


def _dropout_options(config: PretrainedConfig, dropout: float | None) -> dict[str, float]:
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


def _build_encoder(config: MixupEncoderConfig) -> PreTrainedModel:
    auto = _auto_class(config.encoder)
    return _without_decoder(auto.from_config(config.encoder, **_encoder_options(config.encoder)))


def _load_encoder(path: str, config: PretrainedConfig, *args: Any, **kwargs: Any) -> PreTrainedModel:
    options = {**_encoder_options(config), **kwargs}
    return _without_decoder(_auto_class(config).from_pretrained(path, *args, config=config, **options))
