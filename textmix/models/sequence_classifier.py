"""MixupForSequenceClassification: any Hugging Face encoder, a pooling and one linear layer, with mixing attached."""

from pathlib import Path
from typing import Any, Literal, Self

from torch import Tensor
from transformers.modeling_outputs import SequenceClassifierOutput

from textmix.errors import ConfigError, did_you_mean
from textmix.mixing.config import MixConfig
from textmix.mixing.losses import plain_loss
from textmix.models.base import HeadName, MixupModel
from textmix.models.base import MixupEncoderConfig as MixupEncoderConfig
from textmix.models.pooling import POOLINGS, Pooling, PoolingName


class MixupForSequenceClassification(MixupModel):
    """A sequence classifier: encoder, pooling, dropout, one linear layer.

    Args:
        config: Its configuration; `config.mix` attaches a mixer.
        encoder: A loaded encoder that matches `config.encoder`; None builds one with random weights.

    Shapes:
        input_ids and attention_mask (B, L), or inputs_embeds (B, L, H), or pooled (B, H), to logits (B, num_labels).
    """

    def _build_head(self, hidden_size: int) -> None:
        self.pooling = Pooling(_pooling_name(self.config.pooling), hidden_size)
        super()._build_head(hidden_size)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        pooled: Tensor | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Classify a batch.

        Args:
            input_ids: Token ids, shape (B, L).
            attention_mask: 1 at real positions, shape (B, L); None means that all are real.
            inputs_embeds: Embeddings instead of ids, shape (B, L, H).
            labels: Targets as in `textmix.mixing.losses.score`; adds the mean loss.
            pooled: Sentence vectors from `pool` instead of the other inputs, shape (B, H).
            **kwargs: Passed to the encoder (`token_type_ids`, `position_ids`, …).
        """
        num_items = kwargs.pop("num_items_in_batch", None)
        if pooled is None:
            pooled = self.pool(input_ids, attention_mask, inputs_embeds, **kwargs)
        logits = self.classifier(self.dropout(pooled))
        return SequenceClassifierOutput(
            loss=plain_loss(logits, labels, self.config.problem_type, num_items), logits=logits
        )

    def pool(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Compute the sentence vectors of a batch, shape (B, H); arguments as in `forward`."""
        hidden = self._encode(input_ids, attention_mask, inputs_embeds, kwargs)
        mask = attention_mask if attention_mask is not None else hidden.new_ones(hidden.shape[:2])
        vectors: Tensor = self.pooling(hidden, mask)
        return vectors

    @classmethod
    def from_pretrained(  # type: ignore[override]  # adds keyword arguments
        cls,
        pretrained_model_name_or_path: str | Path,
        *args: Any,
        mix: MixConfig | None = None,
        head: HeadName = "linear",
        pooling: PoolingName | Literal["auto"] = "auto",
        encoder_dropout: float | None = None,
        **kwargs: Any,
    ) -> Self:
        """Load an encoder and put a new classifier on it, or load a saved classifier.

        Args:
            pretrained_model_name_or_path: A hub id, a directory, a built-in name (`minilm`), or a directory that
                `save_pretrained` of this class wrote. Only the encoder of an encoder-decoder (T5, BART) is used.
            *args: Passed to transformers.
            mix: Attach a mixer with this configuration; it is `model.mixer`.
            head: `linear` is this class. `native` returns the sequence classification model that transformers has for
                the architecture, with the mixer attached; transformers loads its checkpoints without textmix.
            pooling: How hidden states are pooled; `auto` takes the pooling that a sentence-transformers checkpoint
                declares, else the usual pooling of the architecture. Only for an encoder with a new linear head.
            encoder_dropout: Dropout inside the encoder; None keeps the checkpoint's.
            **kwargs: `num_labels`, `id2label`, `label2id`, `problem_type`, `classifier_dropout`, and the arguments of
                `from_pretrained` of transformers. Pickled weights are loaded only with `use_safetensors=False`; code in
                a checkpoint runs only with `trust_remote_code=True`.

        Raises:
            ConfigError: If `pooling` is given where it has no effect.
            ModelError: If the directory holds a classifier of another class.
        """
        return cls._load(
            pretrained_model_name_or_path,
            args,
            kwargs,
            mix=mix,
            head=head,
            pooling=pooling,
            encoder_dropout=encoder_dropout,
        )


def _pooling_name(name: str) -> PoolingName:
    for known in POOLINGS:
        if name == known:
            return known
    raise ConfigError(f"unknown pooling '{name}'{did_you_mean(name, POOLINGS)}")
