"""The command line, one module per command; each has ``main(argv) -> exit code``."""
