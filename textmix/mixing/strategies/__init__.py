"""The strategies: how a plan is drawn and applied. `STRATEGIES` in `base` is the one table of them."""

from textmix.mixing.strategies import blending as blending
from textmix.mixing.strategies import choosing as choosing
from textmix.mixing.strategies import cutting as cutting
