-- Answers under idempotency keys, for services whose writes are transactions of their database. A row is claimed first
-- and answered at the end of the same transaction: a repeat in flight waits for the row, so `status` is never seen empty.
CREATE TABLE results (
    app text NOT NULL,
    caller text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    status smallint,
    body bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (app, caller, key)
);
CREATE INDEX results_age ON results USING brin (created_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON results TO :runtime;
