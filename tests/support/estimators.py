"""Parameters of the scikit-learn estimators that train fast."""

from typing import Any

SMALL = {"model.words.embedding_dim": 16, "model.textcnn.num_filters": 8}


def quick(options: dict[str, Any] | None = None, **parameters: Any) -> dict[str, Any]:
    """Return parameters of a small model that learns the topics of `tests.support.topics` in four epochs."""
    given: dict[str, Any] = {"epochs": 4, "batch_size": 8, "learning_rate": 0.02, "random_state": 0, **parameters}
    return {**given, "options": {**SMALL, **(options or {})}}
