# spark-submit spark_predict.py RUN SOURCE.parquet OUTPUT_DIRECTORY
# Prediction with Spark
"""Predict with Spark.

On a cluster RUN and the files must lie where every node sees them. Needs pyspark and a Java.
"""

import sys

from pyspark.sql import SparkSession
from pyspark.sql.types import DoubleType, StringType, StructField, StructType

from textmix import Predictor


def main(run: str, source: str, output: str) -> None:
    """Read rows, add the columns of the prediction, write them."""
    spark = SparkSession.builder.getOrCreate()
    rows = spark.read.parquet(source)
    # The predictor travels as a path; each worker process loads the model once.
    predictor = Predictor.from_pretrained(run)
    # Spark wants to know the columns beforehand.
    added = [StructField("prediction", StringType()), StructField("confidence", DoubleType())]
    added += [StructField(f"probability_{name}", DoubleType()) for name in predictor.class_names]
    schema = StructType([*rows.schema.fields, *added])
    rows.mapInPandas(predictor, schema).write.parquet(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
