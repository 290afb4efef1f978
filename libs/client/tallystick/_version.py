"""The version of this distribution, said once; the project file carries the same."""

__version__ = "0.1.0"
