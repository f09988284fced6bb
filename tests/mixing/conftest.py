import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

WORDS = ["soup", "with", "bread", "a", "goal", "the", "new", "song", "and", "drum", "rice"]


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerBase:
    """Make a tokenizer of words whose special ids are not the usual ones."""
    special = {"[UNK]": 3, "[START]": 40, "[END]": 41, "[FILL]": 42}
    vocabulary = {**special, **{word: 10 + number for number, word in enumerate(WORDS)}}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(
        single="[START] $A [END]",
        pair="[START] $A [END] $B:1 [END]:1",
        special_tokens=[("[START]", 40), ("[END]", 41)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="[UNK]", cls_token="[START]", sep_token="[END]", pad_token="[FILL]"
    )
