"""What a period would have been under another app file: its commands decided again, on the accounts as they stood."""
