"""Is the new score formula worse? A candidate against a baseline: recorded decisions first, then paired scenarios."""
