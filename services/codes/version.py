"""The version that the service tells."""

VERSION = "0.1.0"
