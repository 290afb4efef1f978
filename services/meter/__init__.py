"""The metering proxy: an OpenAI-compatible API whose calls are paid from Tallystick's credits."""
