"""The single writer: it drains its queue, decides on an overlay, appends a batch at a time, and then answers."""
