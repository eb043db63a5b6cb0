"""What holds for all tests: a property takes the time it takes, since the first example may compile kernels."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
