"""What happened: the catalogue of columns, the store of a run, its measures, figures and report."""
