"""See what mixing does to real texts: draw plans as training does, lay them out, print them."""
