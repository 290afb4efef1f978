"""What the proxy does with a call: pays for it, passes it on, and settles it whatever happens."""
