"""Rows of what is kept beside the log: outcomes under keys and references, configurations, dead letters."""

from __future__ import annotations

from typing import Any

from services.ledger.domain.config import AppConfig
from services.ledger.requests import Answer, BuryMessage, Cursor, Request
from services.ledger.store.log_source import SOURCE
from services.ledger.store.rows import moment


def result_row(request: Request, answer: Answer, partition: int, position: int) -> tuple[Any, ...]:
    """The outcome under the request's idempotency key."""
    return (
        request.app,
        request.caller,
        request.user,
        request.key,
        request.fingerprint.hex(),
        request.type,
        request.command_id,
        answer.status,
        answer.body.decode(),
        partition,
        position,
    )


def config_row(config: AppConfig, text: str, partition: int, position: int) -> dict[str, Any]:
    """A version of an app's configuration, whose document is `text`."""
    return {
        "app": config.app,
        "version": config.version,
        "document": text,
        "applied_at": moment(config.applied_at),
        "partition": partition,
        "position": position,
    }


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
