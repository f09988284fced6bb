"""Train on the sentence vectors of a frozen encoder, which are computed once."""

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from textmix.errors import ConfigError
from textmix.mixing.config import MixConfig
from textmix.mixing.registry import STRATEGIES, build_strategy
from textmix.mixing.site_names import POOLED
from textmix.models.logits import run_longest_first
from textmix.models.sequence_classifier import MixupForSequenceClassification
from textmix.training.batches import row_lengths


def check_pooled(mix: MixConfig, option: str) -> None:
    """Check that a strategy needs only the sentence vectors of the rows.

    Args:
        mix: How to mix.
        option: The option that leaves only these, for the message.

    Raises:
        ConfigError: If it mixes at another site, or chooses partners or λ by their tokens.
    """
    if not _mixes_only_pooled(mix):
        fitting = [name for name in STRATEGIES if name != "any" and _mixes_only_pooled(MixConfig(strategy=name))]
        raise ConfigError(
            f"{option} leaves sentence vectors to mix, but mix.strategy {mix.strategy} mixes at another site;"
            f" use one of {', '.join(fitting)}"
        )
    needed = [f"mix.partner {mix.partner}"] if mix.partner in ("nearest", "farthest", "length") else []
    needed += ["mix.lam similarity"] if mix.lam == "similarity" else []
    if needed:
        raise ConfigError(f"{needed[0]} needs the tokens of a row, but {option} leaves sentence vectors")


def _mixes_only_pooled(mix: MixConfig) -> bool:
    return set(build_strategy(mix).sites(1)) <= {POOLED}


def pool_rows(
    model: MixupForSequenceClassification,
    tokenizer: PreTrainedTokenizerBase,
    data: Dataset,
    batch_size: int,
) -> Dataset:
    """Run the encoder over tokenised rows once, without dropout.

    Args:
        model: The classifier, whose encoder and pooling are frozen.
        tokenizer: Pads the batches.
        data: Tokenised rows with `labels`.
        batch_size: Rows of a batch.

    Returns:
        A data set with the columns `pooled`, float32 vectors of shape (H,), and `labels`, in the order of the rows.
    """
    inputs = data.remove_columns("labels")
    vectors = run_longest_first(model, model.pool, tokenizer, inputs, row_lengths(data).tolist(), batch_size)
    return Dataset.from_dict({POOLED: vectors.numpy(), "labels": data["labels"][:]}).with_format("torch")
