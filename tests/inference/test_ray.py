"""The recipe for Ray Data, on a local cluster."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.support.launching import ROOT
from tests.support.topics import topic_rows
from textmix import Predictor, TextCNN, TextCNNConfig
from textmix.models.words.tokenizer_training import train_tokenizer


@pytest.mark.slow
def test_the_recipe_predicts_as_one_process_does(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": range(60), "text": [text for text, _ in topic_rows(60)]})
    tokenizer = train_tokenizer(frame["text"], min_frequency=1)
    model = TextCNN(TextCNNConfig(vocab_size=len(tokenizer), embedding_dim=8, num_filters=4, num_labels=3))
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    frame.to_parquet(tmp_path / "rows.parquet")
    recipe = ROOT / "recipes" / "distributed" / "ray_predict.py"
    paths = [str(tmp_path / name) for name in ("model", "rows.parquet", "predicted")]
    # Ray gives its workers a low priority, with which they starve on a busy machine.
    environment = {**os.environ, "RAY_worker_niceness": "0", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, str(recipe), *paths], check=True, env=environment, timeout=300)
    predicted = pd.read_parquet(tmp_path / "predicted").sort_values("id", ignore_index=True)
    expected = Predictor.from_pretrained(tmp_path / "model")(frame)
    assert predicted["prediction"].tolist() == expected["prediction"].tolist()
    np.testing.assert_allclose(predicted["probability_LABEL_1"], expected["probability_LABEL_1"], atol=1e-6)
