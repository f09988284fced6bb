"""Train SetFit on a few rows, in the environment that has it: python few_labels_setfit.py JOB.json RESULT.json.

The job has `train` and `test`, lists of texts; `labels`, the class numbers of `train`; `model`, a directory; `seed`;
`max_steps`, -1 for all; and `max_length`, the longest input in tokens. The result has the `probabilities` of the test
texts, and the `seconds` from texts to the saved model. Imports nothing of textmix: SetFit has its own environment, with
other versions of the same libraries.
"""

import json
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    """Train and predict."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))

    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    rows = Dataset.from_dict({"text": job["train"], "label": job["labels"]})
    with tempfile.TemporaryDirectory() as scratch:
        began = time.perf_counter()
        arguments = TrainingArguments(
            output_dir=scratch,
            seed=job["seed"],
            max_steps=job["max_steps"],
            report_to="none",
            show_progress_bar=False,
        )
        model = SetFitModel.from_pretrained(job["model"])
        model.model_body.max_seq_length = job["max_length"]
        Trainer(model=model, args=arguments, train_dataset=rows).train()
        model.save_pretrained(f"{scratch}/model")
        seconds = time.perf_counter() - began
    probabilities = model.predict_proba(job["test"], as_numpy=True).tolist()
    Path(sys.argv[2]).write_text(json.dumps({"probabilities": probabilities, "seconds": seconds}), encoding="utf-8")


if __name__ == "__main__":
    main()
