"""The tie: the hybrid clock, the processes that act on the plant, and ``simulate``."""
