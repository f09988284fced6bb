# python ray_predict.py RUN SOURCE.parquet OUTPUT_DIRECTORY
# Prediction with Ray Data
"""Predict with Ray Data.

On a cluster RUN and the files must lie where every node sees them. Needs the extra `ray`.
"""

import sys

import ray

from textmix import Predictor


def main(run: str, source: str, output: str) -> None:
    """Read rows, add the columns of the prediction, write them."""
    # The predictor travels as a path; each worker process loads the model once.
    predictor = Predictor.from_pretrained(run)
    ray.data.read_parquet(source).map_batches(predictor, batch_size=4096).write_parquet(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
