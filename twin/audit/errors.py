"""The error by which the audit refuses input."""


class AuditError(ValueError):
    """What cannot be recorded or read: the message names the file or value, what is wrong with it and the remedy."""
