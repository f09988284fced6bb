from textmix.mixing.strategies.base import STRATEGIES


def test_candidate_sites_of_each_strategy() -> None:
    sites = {name: strategy.candidates(2, None) for name, strategy in STRATEGIES.items()}
    assert sites == {
        "none": (),
        "word": ("embeddings",),
        "sentence": ("pooled",),
        "manifold": ("embeddings", "layer:1", "layer:2"),
    }


def test_manifold_keeps_to_the_layers_asked_for() -> None:
    assert STRATEGIES["manifold"].candidates(6, [2, 5]) == ("embeddings", "layer:2", "layer:5")


def test_every_strategy_but_none_names_its_paper() -> None:
    assert all(strategy.summary for strategy in STRATEGIES.values())
    assert all(strategy.paper for name, strategy in STRATEGIES.items() if name != "none")
