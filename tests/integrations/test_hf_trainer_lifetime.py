"""Whatever ends training, MixupCallback leaves the model as it was."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from transformers import Trainer, TrainerCallback

from tests.integrations.conftest import MakeTrainer, MixupTrainer, tiny_bert, training_logs
from tests.support.counting import hooks
from textmix import MixupCallback


def surface(model: torch.nn.Module) -> tuple[int, set[str], list[str]]:
    """All that a mixer could leave behind: hooks, attributes, parameters."""
    # The name is what accelerate leaves in every model that it prepares.
    return hooks(model), set(vars(model)) - {"_is_accelerate_prepared"}, list(model.state_dict())


def new_model() -> torch.nn.Module:
    return tiny_bert()


class RaiseAt(TrainerCallback):
    """Raises in one event of the second step."""

    def __init__(self, event: str, error: BaseException) -> None:
        def fail(args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == 1:
                raise error

        setattr(self, event, fail)


def in_forward(trainer: Trainer, error: BaseException) -> None:
    # On its way from the encoder to the classifier, when blocks have been mixed already.
    trainer.model.dropout.register_forward_hook(lambda *_: throw(error))


def in_backward(trainer: Trainer, error: BaseException) -> None:
    trainer.model.bert.embeddings.word_embeddings.weight.register_hook(lambda _: throw(error))


def in_data(trainer: Trainer, error: BaseException) -> None:
    collate, batches = trainer.data_collator, []

    def failing(rows: Any) -> Any:
        batches.append(rows)
        return throw(error) if len(batches) > 2 else collate(rows)

    trainer.data_collator = failing


def in_evaluation(trainer: Trainer, error: BaseException) -> None:
    trainer.compute_metrics = lambda _: throw(error)


def in_event(event: str) -> Callable[[Trainer, BaseException], None]:
    return lambda trainer, error: trainer.add_callback(RaiseAt(event, error))


def throw(error: BaseException) -> Any:
    raise error


EVENTS = ("on_step_begin", "on_pre_optimizer_step", "on_step_end", "on_log")
PLACES = {"forward": in_forward, "backward": in_backward, "data": in_data, "evaluation": in_evaluation}
PLACES |= {event: in_event(event) for event in EVENTS}


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("place", list(PLACES))
def test_nothing_is_left_after_an_error(make_trainer: MakeTrainer, place: str, kind: type[BaseException]) -> None:
    error, callback = kind("stop"), MixupCallback(strategy="manifold")
    trainer = make_trainer(callback, trainer_class=MixupTrainer, eval_strategy="steps", eval_steps=2)
    PLACES[place](trainer, error)
    before = surface(trainer.model)
    with pytest.raises(kind, match="stop"):
        trainer.train()
    assert surface(trainer.model) == before
    assert callback.mixer is None


@pytest.mark.parametrize("place", list(PLACES))
def test_a_stock_trainer_keeps_the_mixer_after_an_error_inside_of_a_step(make_trainer: MakeTrainer, place: str) -> None:
    callback = MixupCallback(strategy="manifold")
    trainer = make_trainer(callback, eval_strategy="steps", eval_steps=2)
    PLACES[place](trainer, RuntimeError("stop"))
    before = surface(trainer.model)
    with pytest.raises(RuntimeError, match="stop"):
        trainer.train()
    inside = place in ("forward", "backward", "on_step_begin")
    assert (surface(trainer.model) != before) == inside
    callback.detach()
    assert surface(trainer.model) == before


def test_nothing_is_left_after_success(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(callback := MixupCallback(strategy="any", any={"choices": {"word": 1, "cutmix": 1}}))
    model, methods = surface(trainer.model), set(vars(trainer))
    trainer.train()
    assert surface(trainer.model) == model
    assert callback.mixer is None
    assert not {"training_step", "log"} & (set(vars(trainer)) - methods)


@pytest.mark.parametrize("place", ["forward", "evaluation"])
def test_a_trainer_that_failed_trains_again(make_trainer: MakeTrainer, place: str) -> None:
    """Mixed as ever while it has the callback, as it would without when it has it no more."""

    options = {"model_init": new_model, "eval_strategy": "steps", "eval_steps": 2}

    def failed() -> Trainer:
        trainer = make_trainer(MixupCallback(strategy="word"), **options)
        if place == "evaluation":
            in_evaluation(trainer, RuntimeError("stop"))
        else:
            trainer.add_callback(breaking := RaiseAt("on_step_begin", RuntimeError("stop")))
        with pytest.raises(RuntimeError, match="stop"):
            trainer.train()
        trainer.compute_metrics = None
        if place == "forward":
            trainer.remove_callback(breaking)
        return trainer

    again, fresh = failed(), make_trainer(MixupCallback(strategy="word"), **options)
    without, bare = failed(), make_trainer(**options)
    without.remove_callback(MixupCallback)
    for trainer in (again, fresh, without, bare):
        trainer.train()
    for one, two in ((again, fresh), (without, bare)):
        assert [line["loss"] for line in training_logs(one)] == [line["loss"] for line in training_logs(two)]
    assert "mix_lam" in training_logs(again)[0]
    assert "mix_lam" not in training_logs(without)[0]


def test_training_twice_repeats_itself(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(MixupCallback(strategy="manifold"), model_init=new_model)
    trainer.train()
    first = training_logs(trainer)
    trainer.train()
    assert training_logs(trainer) == first


@pytest.mark.slow
def test_the_batch_size_finder_starts_over_with_a_fresh_mixer(make_trainer: MakeTrainer) -> None:
    """It catches what the device's memory does not hold inside of `train`, which then begins anew."""
    sizes = []

    class Small(Trainer):
        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            sizes.append(len(inputs["labels"]))
            loss = super().compute_loss(model, inputs, *args, **kwargs)
            if sizes[-1] > 8:
                raise RuntimeError("CUDA out of memory.")
            return loss

    trainer = make_trainer(MixupCallback(strategy="word"), trainer_class=Small, auto_find_batch_size=True)
    before = surface(trainer.model)
    trainer.train()
    assert sizes[0] == 16
    assert sizes[-1] <= 8
    assert all(line["mix_share"] == 1 for line in training_logs(trainer))
    assert np.isfinite(trainer.evaluate()["eval_loss"])
    assert surface(trainer.model) == before
