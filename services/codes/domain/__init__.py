"""The rules of codes, pure: no input, no output, no clock, no random."""
