"""One of two processes that train together: a whole run, and one that is resumed in its middle."""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments, set_seed

from tests.integrations.conftest import tiny_bert, training_logs
from textmix import MixupCallback


def rows() -> Dataset:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1000, 2000, (32, 8), generator=generator)
    return Dataset.from_dict({"input_ids": ids.tolist(), "labels": (ids[:, 0] % 5).tolist()})


def run(directory: Path, resume: Path | None = None) -> dict[str, Any]:
    class Note(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            lams.append(callback.mixer.plan.lam.mean().item())

    lams: list[float] = []
    callback = MixupCallback(strategy="manifold")
    options: dict[str, Any] = {"per_device_train_batch_size": 4, "max_steps": 4, "logging_steps": 1, "save_steps": 2}
    options |= {"save_strategy": "steps", "report_to": "none", "disable_tqdm": True, "use_cpu": True, "seed": 5}
    set_seed(5)
    args = TrainingArguments(str(directory), **options)
    trainer = Trainer(model=tiny_bert(), args=args, train_dataset=rows(), callbacks=[callback, Note()])
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    weights = [value.double().sum().item() for value in trainer.model.state_dict().values()]
    return {"lams": lams, "weights": weights, "logs": [line["mix_lam"] for line in training_logs(trainer)]}


if __name__ == "__main__":
    directory = Path(sys.argv[1])
    whole = run(directory / "whole")
    found = {"whole": whole, "resumed": run(directory / "resumed", directory / "whole" / "checkpoint-2")}
    (directory / f"{torch.distributed.get_rank()}.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()
