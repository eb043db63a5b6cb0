"""Demand: jobs and their phases, services and their queues, synthetic streams and trace readers."""
