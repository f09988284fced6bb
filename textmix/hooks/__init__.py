"""How mixing acts on a model: where it can, by which hooks, and what becomes of a batch on its way through."""
