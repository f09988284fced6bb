"""The built-in strategies; `textmix.mixing.registry` is the table of them."""
