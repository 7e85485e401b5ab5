"""The command line: thin commands that parse, call one function, and print."""

from scaler.cli.main import cli, main

__all__ = ["cli", "main"]
