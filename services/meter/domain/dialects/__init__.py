"""What the routes of the OpenAI API say: what a request asks for, and what the pieces of its answer mean."""

from services.meter.domain.dialects.base import Ask, Body, Dialect, InvalidBody, Passage, Piece, Streaming
from services.meter.domain.dialects.completions import CHAT, COMPLETIONS, EMBEDDINGS
from services.meter.domain.dialects.responses import RESPONSES

__all__ = [
    "CHAT",
    "COMPLETIONS",
    "EMBEDDINGS",
    "RESPONSES",
    "Ask",
    "Body",
    "Dialect",
    "InvalidBody",
    "Passage",
    "Piece",
    "Streaming",
]
