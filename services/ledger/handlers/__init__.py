"""From a command as it was sent to a request for the writer, the same for every door."""
