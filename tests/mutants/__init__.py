"""Mutation testing: small changes of the rules and the append, each of which some test must notice."""
