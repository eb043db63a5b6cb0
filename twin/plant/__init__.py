"""Physics: compiled functions of arrays, and the plant that settles and flows between events."""
