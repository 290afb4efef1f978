"""Rows of what is kept beside the log: dead letters, and what a `unique_ref` stands for."""

from __future__ import annotations

from typing import Any

from services.ledger.requests import Answer, BuryMessage, Cursor, Request
from services.ledger.store.log_source import SOURCE


def dead_letter_row(message: BuryMessage, cursor: Cursor) -> dict[str, Any]:
    """A Kafka record that is no command for its partition."""
    return {
        "consumer": SOURCE,
        "source": message.source,
        "topic": cursor.topic,
        "partition": cursor.partition,
        "cluster_id": cursor.cluster_id,
        "kafka_offset": cursor.offset,
        "message_id": message.message_id,
        "type": message.message_type,
        "reason": message.reason,
        "detail": message.detail,
        "message": message.raw.hex(),
    }


def unique_ref_row(request: Request, made: str, answer: Answer) -> dict[str, Any]:
    """The object `made` under the request's `unique_ref`, and the answer that it was told with."""
    return {
        "app": request.app,
        "user_id": request.user,
        "command_type": request.unique_type,
        "ref": request.unique_ref,
        "fingerprint": request.unique_fingerprint.hex(),
        "object": made,
        "status": answer.status,
        "body": answer.body.decode(),
    }
