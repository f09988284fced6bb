import textmix
from tests.conftest import mix
from tests.helpers import Batch, Build


def test_the_package_is_the_context_manager_of_its_name(build: Build, ragged: Batch) -> None:
    model = build("bert")
    with textmix.mixing(model, mix("word"), seed=3) as mixer:
        model(**ragged)
    assert mixer.plan.strategy.name == "word"
    with textmix.mixing(model, strategy="sentence", seed=3) as mixer:
        model(**ragged)
    assert mixer.plan.strategy.name == "sentence"
