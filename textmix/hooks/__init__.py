"""How mixing acts on a model: find its sites, hook into them, and mix the batch in the forward pass."""
