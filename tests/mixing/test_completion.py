from textmix.mixing.completion import complete
from textmix.mixing.config import MixConfig
from textmix.mixing.loss_config import LossConfig


def completed(mix: MixConfig, loss: LossConfig | None = None) -> tuple[list[int] | None, list[int] | None]:
    filled = complete(mix, loss or LossConfig(), lambda: [0, 1], lambda: [7, 3])
    return filled.special_ids, filled.class_counts


def test_what_is_needed_is_filled_in_and_nothing_else() -> None:
    assert completed(MixConfig(strategy="word")) == (None, None)
    assert completed(MixConfig(strategy="cutmix")) == ([0, 1], None)
    assert completed(MixConfig(strategy="any", any={"choices": {"word": 1, "ssmix": 1}})) == ([0, 1], None)
    assert completed(MixConfig(strategy="word", targets="remix")) == (None, [7, 3])
    assert completed(MixConfig(strategy="word"), LossConfig(class_weights="balanced")) == (None, [7, 3])


def test_what_is_given_stays() -> None:
    given = MixConfig(strategy="cutmix", targets="remix", special_ids=[5], class_counts=[1, 1])
    assert completed(given) == ([5], [1, 1])
