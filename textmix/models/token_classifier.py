"""MixupForTokenClassification: any Hugging Face encoder and one linear layer at every token, with mixing attached."""

from pathlib import Path
from typing import Any, ClassVar, Self

from torch import Tensor
from transformers import AutoModelForTokenClassification
from transformers.modeling_outputs import TokenClassifierOutput
from transformers.utils import can_return_tuple

from textmix.mixing.config import MixConfig
from textmix.mixing.losses import plain_loss
from textmix.models.base import HeadName, MixupModel


class MixupForTokenClassification(MixupModel):
    """A token classifier: encoder, dropout, one linear layer at every position.

    Args:
        config: Its configuration; `config.mix` attaches a mixer.
        encoder: A loaded encoder that matches `config.encoder`; None builds one with random weights.

    Shapes:
        input_ids and attention_mask (B, L), or inputs_embeds (B, L, H), to logits (B, L, num_labels).
    """

    _native: ClassVar[Any] = AutoModelForTokenClassification

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> TokenClassifierOutput:
        """Classify every token of a batch.

        Args:
            input_ids: Token ids, shape (B, L).
            attention_mask: 1 at real positions, shape (B, L); None means that all are real.
            token_type_ids: Segment of each token, shape (B, L), for encoders that know segments.
            position_ids: Position of each token, shape (B, L); None means their order.
            inputs_embeds: Embeddings instead of ids, shape (B, L, H).
            labels: Class of each token, shape (B, L), int64, -100 for tokens to ignore; adds the mean loss.
            **kwargs: As for `MixupForSequenceClassification`.
        """
        num_items = kwargs.pop("num_items_in_batch", None)
        encoded = self._encode(
            kwargs,
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
        )
        logits = self.classifier(self.dropout(encoded.last_hidden_state))
        return TokenClassifierOutput(
            loss=plain_loss(logits, labels, None, num_items),
            logits=logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        )

    @classmethod
    def from_pretrained(  # type: ignore[override]  # adds keyword arguments
        cls,
        pretrained_model_name_or_path: str | Path | None,
        *args: Any,
        mix: MixConfig | None = None,
        head: HeadName = "linear",
        encoder_dropout: float | None = None,
        **kwargs: Any,
    ) -> Self:
        """Load an encoder and put a new classifier on it, or load a saved classifier.

        Args:
            pretrained_model_name_or_path: As for `MixupForSequenceClassification`.
            *args: Passed to transformers.
            mix: Attach a mixer with this configuration; it is `model.mixer`.
            head: `linear` is this class. `native` returns the token classification model that transformers has for the
                architecture, with the mixer attached; transformers loads its checkpoints without textmix.
            encoder_dropout: Dropout inside the encoder; None keeps the checkpoint's.
            **kwargs: `num_labels`, `id2label`, `label2id`, `classifier_dropout`, and the arguments of `from_pretrained`
                of transformers.

        Raises:
            ModelError: If the directory holds a classifier of another class.
        """
        loaded: Self = cls._load(
            pretrained_model_name_or_path,
            args,
            kwargs,
            mix=mix,
            head=head,
            pooling="auto",
            encoder_dropout=encoder_dropout,
        )
        return loaded
