"""Show what mixing does to real texts: draw plans as in training, lay them out, print them."""
