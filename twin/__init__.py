"""The data-hall twin: a simulator of AI data halls that runs production's own placement policy.

Importing this package imports nothing else, so that ``import twin.policy`` stays as light as the policy itself.
"""

__version__ = "0.1.0"
