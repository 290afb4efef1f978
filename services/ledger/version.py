"""The ledger's version, as its pages and documents state it."""

VERSION = "0.1.0"
