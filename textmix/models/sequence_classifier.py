"""MixupForSequenceClassification: any Hugging Face encoder, a pooling and one linear layer, with mixing attached."""

from pathlib import Path
from typing import Any, Literal, Self

from torch import Tensor
from torch.nn import functional as F
from transformers.modeling_outputs import BaseModelOutput, SequenceClassifierOutput
from transformers.utils import can_return_tuple

from textmix.errors import ConfigError, did_you_mean
from textmix.mixing.config import MixConfig
from textmix.mixing.losses import plain_loss
from textmix.models.base import HeadName, MixupModel
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

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        pooled: Tensor | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Classify a batch.

        Args:
            input_ids: Token ids, shape (B, L).
            attention_mask: 1 at real positions, shape (B, L); None means that all are real.
            token_type_ids: Segment of each token, shape (B, L), for encoders that know segments.
            position_ids: Position of each token, shape (B, L); None means their order.
            inputs_embeds: Embeddings instead of ids, shape (B, L, H).
            labels: Targets as in `textmix.mixing.losses.score`; adds the mean loss.
            pooled: Sentence vectors from `pool` instead of the other inputs, shape (B, H).
            **kwargs: Passed to the encoder (`output_hidden_states`, `output_attentions`, …); `return_dict=False`
                returns a tuple.
        """
        num_items = kwargs.pop("num_items_in_batch", None)
        encoded = BaseModelOutput()
        if pooled is None:
            encoded = self._encode(
                kwargs,
                input_ids=input_ids,
                attention_mask=attention_mask,
                token_type_ids=token_type_ids,
                position_ids=position_ids,
                inputs_embeds=inputs_embeds,
            )
            pooled = self._pool(encoded, attention_mask)
        logits = self.classifier(self.dropout(pooled))
        return SequenceClassifierOutput(
            loss=plain_loss(logits, labels, self.config.problem_type, num_items),
            logits=logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        )

    def pool(self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None, **kwargs: Any) -> Tensor:
        """Compute the sentence vectors of a batch, shape (B, H); arguments as in `forward`."""
        encoded = self._encode(kwargs, input_ids=input_ids, attention_mask=attention_mask)
        return self._pool(encoded, attention_mask)

    def _pool(self, encoded: BaseModelOutput, attention_mask: Tensor | None) -> Tensor:
        hidden = encoded.last_hidden_state
        assert hidden is not None
        mask = attention_mask if attention_mask is not None else hidden.new_ones(hidden.shape[:2])
        vectors: Tensor = self.pooling(hidden, mask)
        return F.normalize(vectors, dim=-1) if self.config.normalize else vectors

    @classmethod
    def from_pretrained(  # type: ignore[override]  # adds keyword arguments
        cls,
        pretrained_model_name_or_path: str | Path | None,
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
                `save_pretrained` of this class wrote. Only the encoder of an encoder-decoder (T5, BART) is used. None
                takes the arguments `config` and `state_dict`.
            *args: Passed to transformers.
            mix: Attach a mixer with this configuration; it is `model.mixer`.
            head: `linear` is this class. `native` returns the sequence classification model that transformers has for
                the architecture, with the mixer attached; transformers loads its checkpoints without textmix.
            pooling: How hidden states are pooled; `auto` takes the pooling that a sentence-transformers checkpoint
                declares, else the usual pooling of the architecture. Only for an encoder with a new linear head.
            encoder_dropout: Dropout inside the encoder; None keeps the checkpoint's.
            **kwargs: `num_labels`, `id2label`, `label2id`, `problem_type`, `classifier_dropout`, `normalize`, and the
                arguments of `from_pretrained` of transformers. Pickled weights are loaded only with
                `use_safetensors=False`; code in a checkpoint runs only with `trust_remote_code=True`. With
                `output_loading_info=True` the result is the model and what transformers reports of the loading.

        Raises:
            ConfigError: If `pooling` is given where it has no effect.
            ModelError: If the directory holds a classifier of another class.
        """
        loaded: Self = cls._load(
            pretrained_model_name_or_path,
            args,
            kwargs,
            mix=mix,
            head=head,
            pooling=pooling,
            encoder_dropout=encoder_dropout,
        )
        return loaded


def _pooling_name(name: str) -> PoolingName:
    for known in POOLINGS:
        if name == known:
            return known
    raise ConfigError(f"unknown pooling '{name}'{did_you_mean(name, POOLINGS)}")
