"""What is done with codes, one transaction each."""
