"""The typed client of Tallystick."""
