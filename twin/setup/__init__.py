"""A run from its configuration: words composed by Hydra, groups read into parts, every fault told at once."""
