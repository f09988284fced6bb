"""MixupModel: a classifier on an encoder of any architecture, with mixing attached."""

import copy
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForSequenceClassification, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from textmix.errors import ConfigError, ModelError
from textmix.hooks.attach import attach
from textmix.io.compat import attention_implementation
from textmix.mixing.config import MixConfig
from textmix.models.bundled import resolve_model_path
from textmix.models.encoder_config import MixupEncoderConfig
from textmix.models.encoders import build_encoder, dropout_options, load_encoder
from textmix.models.pooling import PoolingName
from textmix.models.pooling_choice import choose_pooling

_CONFIG_KEYS = ("num_labels", "id2label", "label2id", "problem_type", "classifier_dropout", "normalize")
_HUB_KEYS = ("revision", "cache_dir", "token", "subfolder", "trust_remote_code", "local_files_only", "force_download")

HeadName = Literal["linear", "native"]


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
    hf_device_map: dict[str, Any]  # only where transformers has spread the model over several devices
    _native: ClassVar[Any] = AutoModelForSequenceClassification

    def __init__(self, config: MixupEncoderConfig, encoder: PreTrainedModel | None = None) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels or 0
        self.encoder = encoder if encoder is not None else build_encoder(config.encoder)
        # Share one object, so that later changes of the encoder's configuration (attention, dtype) are saved too.
        config.encoder = self.encoder.config
        self._build_head(config.hidden_size)
        if encoder is not None:  # it may be in half precision, or on a device
            device = None if encoder.device.type == "meta" else encoder.device  # meta: loaded from disk when needed
            for name, child in self.named_children():
                if name != self.base_model_prefix:
                    child.to(device=device, dtype=encoder.dtype)
        self.post_init()  # type: ignore[no-untyped-call]
        if config.mix is not None:
            attach(self, MixConfig(**config.mix))

    def _build_head(self, hidden_size: int) -> None:
        self.dropout = nn.Dropout(self.config.classifier_dropout)
        self.classifier = nn.Linear(hidden_size, self.num_labels)

    def _encode(self, options: dict[str, Any], **inputs: Tensor | None) -> BaseModelOutput:
        """Run the encoder on options and inputs; inputs that are None are left out, since not every encoder has all."""
        options = options | {name: value for name, value in inputs.items() if value is not None}
        for name in ("output_hidden_states", "output_attentions"):
            if getattr(self.config, name):
                options.setdefault(name, True)
        output: BaseModelOutput = self.encoder(**options | {"return_dict": True})
        return output

    @classmethod
    def _load(
        cls,
        name: str | Path | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        mix: MixConfig | None,
        head: HeadName,
        pooling: PoolingName | Literal["auto"],
        encoder_dropout: float | None,
    ) -> Any:
        """Load an encoder and put a new classifier on it, or load a saved classifier; see `from_pretrained`."""
        if head not in ("linear", "native"):
            raise ConfigError(f"head must be linear or native, not '{head}'")
        path = None if name is None else resolve_model_path(str(name))
        # By default neither pickled weights are loaded nor code in the checkpoint is run.
        kwargs.setdefault("use_safetensors", True)
        kwargs.setdefault("trust_remote_code", False)
        if "torch_dtype" not in kwargs:  # its older name
            kwargs.setdefault("dtype", "auto")  # the default of transformers 5; 4.57 would load in float32
        hub = {key: kwargs[key] for key in _HUB_KEYS if key in kwargs}
        config = copy.deepcopy(kwargs.get("config"))
        if config is None:
            if path is None:
                raise ConfigError("from_pretrained(None) needs the arguments config and state_dict")
            config = AutoConfig.from_pretrained(path, **hub)
        if head == "native":
            if pooling != "auto":
                raise ConfigError("model.pooling has no effect with model.head native; leave it at auto")
            native = cls._load_native(path, config, args, kwargs, encoder_dropout)
            if mix is not None:
                attach(native[0] if isinstance(native, tuple) else native, mix)
            return native
        _check_saved(path, config, cls.__name__, pooling)
        if isinstance(config, MixupEncoderConfig):
            return cls._load_saved(path, config, args, kwargs, mix, encoder_dropout)
        pooling = choose_pooling(path, config) if pooling == "auto" else pooling
        config.update(dropout_options(config, encoder_dropout))
        with_info = kwargs.pop("output_loading_info", False)
        options = {"pooling": pooling, "mix": mix and asdict(mix)}
        model, info = cls._on_encoder(path, config, args, kwargs, options)
        # Save the given name, not the path on this machine: a saved configuration is read on other machines.
        model.encoder.config.name_or_path = str(name or "")
        return (model, info) if with_info else model

    @classmethod
    def _load_native(
        cls,
        path: str | None,
        config: PretrainedConfig,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        dropout: float | None,
    ) -> Any:
        """Load the classifier that transformers has for the architecture."""
        if kwargs.pop("classifier_dropout", None) is not None:
            raise ConfigError("classifier_dropout has no effect with head native; leave it out")
        return cls._native.from_pretrained(path, *args, **dropout_options(config, dropout), **kwargs)

    @classmethod
    def _load_saved(
        cls,
        path: str | None,
        config: MixupEncoderConfig,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        mix: MixConfig | None,
        dropout: float | None,
    ) -> Any:
        """Load a classifier saved by `save_pretrained`."""
        if mix is not None:
            kwargs["config"] = config
            config.mix = asdict(mix)
        if dropout is not None:
            kwargs["config"] = config
            config.encoder.update(dropout_options(config.encoder, dropout))
        given = {key: value for key, value in kwargs.items() if value is not None}
        return super().from_pretrained(path, *args, **given)

    @classmethod
    def _on_encoder(
        cls,
        path: str | None,
        config: PretrainedConfig,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: dict[str, Any],
    ) -> tuple[Self, dict[str, Any]]:
        """Load an encoder and put a new classifier on it; returns it and what transformers reports of the loading."""
        kwargs.pop("config", None)
        given = {key: kwargs.pop(key, None) for key in _CONFIG_KEYS}
        options |= {key: value for key, value in given.items() if value is not None}
        if "id2label" in options:
            options.pop("num_labels", None)
        encoder, info = load_encoder(path, config, args, kwargs)
        # A composite configuration sets its attention implementation on its parts; it must be the encoder's.
        options["attn_implementation"] = attention_implementation(encoder.config)
        model = cls(MixupEncoderConfig(encoder=encoder.config, **options), encoder=encoder)
        prefix = f"{cls.base_model_prefix}."
        placed = getattr(encoder, "hf_device_map", None)
        if placed is not None:  # on several devices
            model.hf_device_map = {"": model.device} | {f"{prefix}{name}": place for name, place in placed.items()}
        head = {name for name in model.state_dict() if not name.startswith(prefix)}
        return model, {**info, "missing_keys": head | {f"{prefix}{name}" for name in info["missing_keys"]}}


def _check_saved(path: str | None, config: PretrainedConfig, wanted: str, pooling: str) -> None:
    if not config.model_type.startswith("textmix-"):
        return  # not one of ours
    saved = (config.architectures or [wanted])[0]
    if saved != wanted:
        raise ModelError(f"{path} was saved as a {saved}; it cannot be loaded as a {wanted}")
    if pooling not in ("auto", config.pooling):
        raise ConfigError(f"{path} was saved with pooling {config.pooling}; it cannot be loaded with {pooling}")
