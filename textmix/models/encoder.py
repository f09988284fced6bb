"""MixupForSequenceClassification: any Hugging Face encoder, a pooling, one linear map, and mixing attached."""

import inspect
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, Self

from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel
from transformers.configuration_utils import SubConfigSpec
from transformers.modeling_outputs import SequenceClassifierOutput

from textmix.attach import attach
from textmix.errors import ConfigError, ModelError, did_you_mean
from textmix.mixing.config import MixConfig
from textmix.mixing.losses import plain_loss
from textmix.models.bundled import resolve_model_path
from textmix.models.pooling import POOLINGS, Pooling, PoolingName
from textmix.models.pooling_choice import choose_pooling

_CONFIG_KEYS = ("num_labels", "id2label", "label2id", "problem_type", "classifier_dropout")
_HUB_KEYS = ("revision", "cache_dir", "token", "subfolder", "trust_remote_code", "local_files_only", "force_download")


class MixupConfig(PreTrainedConfig):
    """Configuration of `MixupForSequenceClassification`.

    Args:
        encoder: Configuration of the encoder, of any architecture that `AutoModel` knows.
        pooling: `cls`, `last`, `mean`, `max` or `attention`.
        classifier_dropout: Dropout on the sentence vector. Default: 0.1, as in BERT (Devlin et al. 2019).
        mix: Fields of the `MixConfig` that was given to `from_pretrained`, or None.
    """

    model_type = "textmix-encoder"
    sub_configs_defaults = {"encoder": SubConfigSpec(config_class=AutoConfig, model_type="bert")}  # noqa: RUF012

    encoder: PreTrainedConfig | dict[str, Any] | None = None
    pooling: str = "cls"
    classifier_dropout: float | int = 0.1
    mix: dict[str, Any] | None = None


class MixupForSequenceClassification(PreTrainedModel):
    """A sequence classifier: encoder, pooling, dropout, one linear map.

    Args:
        config: Its configuration; `config.mix` attaches a mixer.
        encoder: A loaded encoder that matches `config.encoder`; None builds one with random weights.

    Shapes:
        input_ids and attention_mask (B, L), or inputs_embeds (B, L, H), to logits (B, num_labels).
    """

    config: MixupConfig
    config_class = MixupConfig
    base_model_prefix = "encoder"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True

    def __init__(self, config: MixupConfig, encoder: PreTrainedModel | None = None) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels or 0
        self.encoder = encoder if encoder is not None else _build_encoder(config)
        # One object: what loading and setting change in the encoder's (attention, dtype) is then saved too.
        config.encoder = self.encoder.config
        hidden_size = self.encoder.config.get_text_config().hidden_size
        self.pooling = Pooling(_pooling_name(config.pooling), hidden_size)
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.classifier = nn.Linear(hidden_size, self.num_labels)
        if encoder is not None:  # it may have been loaded in half precision
            self.pooling.to(encoder.dtype)
            self.classifier.to(encoder.dtype)
        self.post_init()  # type: ignore[no-untyped-call]
        if config.mix is not None:
            attach(self, MixConfig(**config.mix))

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Classify a batch.

        Args:
            input_ids: Token ids, shape (B, L).
            attention_mask: 1 at real positions, shape (B, L); None means that all are real.
            inputs_embeds: Embeddings instead of ids, shape (B, L, H).
            labels: Targets as in `textmix.mixing.functional.sample_losses`; adds the mean loss.
            **kwargs: Passed on to the encoder (`token_type_ids`, `position_ids`, …).
        """
        num_items = kwargs.pop("num_items_in_batch", None)
        kwargs["return_dict"] = True
        hidden = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, inputs_embeds=inputs_embeds, **kwargs
        ).last_hidden_state
        mask = attention_mask if attention_mask is not None else hidden.new_ones(hidden.shape[:2])
        logits = self.classifier(self.dropout(self.pooling(hidden, mask)))
        return SequenceClassifierOutput(
            loss=plain_loss(logits, labels, self.config.problem_type, num_items), logits=logits
        )

    @classmethod
    def from_pretrained(  # type: ignore[override]  # options of ours come first
        cls,
        pretrained_model_name_or_path: str | Path,
        *args: Any,
        mix: MixConfig | None = None,
        head: Literal["linear", "native"] = "linear",
        pooling: PoolingName | Literal["auto"] = "auto",
        encoder_dropout: float | None = None,
        **kwargs: Any,
    ) -> Self:
        """Load an encoder and put a new classifier on it, or load a saved classifier.

        Args:
            pretrained_model_name_or_path: A hub id, a directory, a built-in name (`minilm`), or a directory that
                `save_pretrained` of this class wrote.
            *args: Passed on to transformers.
            mix: Attach a mixer that mixes like this; it is `model.mixer`.
            head: `linear` is this class. `native` returns the architecture's own sequence classification model
                instead, with the mixer attached: what it saves is a stock checkpoint.
            pooling: How positions become one vector; `auto` takes what a sentence-transformers checkpoint declares,
                else the habit of the architecture. Only for an encoder with a new linear head.
            encoder_dropout: Dropout inside the encoder; None keeps the checkpoint's own.
            **kwargs: `num_labels`, `id2label`, `label2id`, `problem_type`, `classifier_dropout`, and whatever
                `from_pretrained` of transformers takes.

        Raises:
            ConfigError: If `pooling` is given where it has no effect.
        """
        path = resolve_model_path(str(pretrained_model_name_or_path))
        given = kwargs.get("config")
        hub = {key: kwargs[key] for key in _HUB_KEYS if key in kwargs}
        config = given if given is not None else AutoConfig.from_pretrained(path, **hub)
        if head not in ("linear", "native"):
            raise ConfigError(f"head must be linear or native, not '{head}'")
        dropouts = _dropout_options(config, encoder_dropout)
        if head == "native":
            if pooling != "auto":
                raise ConfigError("model.pooling has no effect with model.head native; leave it at auto")
            kwargs.pop("classifier_dropout", None)
            native = AutoModelForSequenceClassification.from_pretrained(path, *args, **dropouts, **kwargs)
            if mix is not None:
                attach(native, mix)
            return native  # type: ignore[no-any-return]
        if isinstance(config, MixupConfig):
            if pooling not in ("auto", config.pooling):
                raise ConfigError(f"{path} was saved with pooling {config.pooling}; it cannot become {pooling}")
            if mix is not None:
                kwargs["config"] = config
                config.mix = asdict(mix)
            return super().from_pretrained(path, *args, **{k: v for k, v in kwargs.items() if v is not None})
        if config.is_encoder_decoder:
            raise ModelError(f"{pretrained_model_name_or_path} has a decoder; textmix needs an encoder")
        kwargs.pop("config", None)
        given_ours = {key: kwargs.pop(key, None) for key in _CONFIG_KEYS}
        ours = {key: value for key, value in given_ours.items() if value is not None}
        config.update(dropouts)
        encoder = _load_encoder(path, config, *args, **kwargs)
        name = choose_pooling(path, config) if pooling == "auto" else pooling
        ours["mix"] = asdict(mix) if mix is not None else None
        if "id2label" in ours:
            ours.pop("num_labels", None)
        # Not where it was found on this machine: a saved config is read elsewhere.
        encoder.config.name_or_path = str(pretrained_model_name_or_path)
        # A composite config hands its attention implementation down to its parts; it must be the encoder's.
        ours["attn_implementation"] = encoder.config._attn_implementation
        return cls(MixupConfig(encoder=encoder.config, pooling=name, **ours), encoder=encoder)


def _pooling_name(name: str) -> PoolingName:
    for known in POOLINGS:
        if name == known:
            return known
    raise ConfigError(f"unknown pooling '{name}'{did_you_mean(name, POOLINGS)}")


def _dropout_options(config: PreTrainedConfig, dropout: float | None) -> dict[str, float]:
    """Set every dropout of an encoder's configuration, whatever the architecture calls them."""
    if dropout is None:
        return {}
    rates = {name: value for name, value in config.to_dict().items() if "dropout" in name}
    return {name: dropout for name, value in rates.items() if isinstance(value, float | int)}


def _encoder_options(config: PreTrainedConfig) -> dict[str, Any]:
    # Our pooling replaces the encoder's own pooler; an unused one would train nothing and break DDP.
    found: Any = AutoModel._model_mapping[type(config)]
    architecture = found[0] if isinstance(found, tuple) else found
    takes_option = "add_pooling_layer" in inspect.signature(architecture).parameters
    return {"add_pooling_layer": False} if takes_option else {}


def _build_encoder(config: MixupConfig) -> PreTrainedModel:
    assert isinstance(config.encoder, PreTrainedConfig)  # transformers builds it from what was given
    encoder: PreTrainedModel = AutoModel.from_config(config.encoder, **_encoder_options(config.encoder))
    return encoder


def _load_encoder(path: str, config: PreTrainedConfig, *args: Any, **kwargs: Any) -> PreTrainedModel:
    options = {**_encoder_options(config), **kwargs}
    encoder: PreTrainedModel = AutoModel.from_pretrained(path, *args, config=config, **options)
    return encoder


AutoConfig.register(MixupConfig.model_type, MixupConfig)
AutoModelForSequenceClassification.register(MixupConfig, MixupForSequenceClassification)
