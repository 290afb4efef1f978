-- The event store: the log with its heads, and who may write it. `user` is a reserved word, hence `user_id`.

-- One row: what is fixed when a deployment is made. The incarnations of the log are in `outbox_streams`.
CREATE TABLE deployment (
    id smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    partitions smallint NOT NULL CHECK (partitions BETWEEN 1 AND 256),
    created_at timestamptz NOT NULL DEFAULT now()
);

-- The head of each partition. An append compares and sets position and epoch: that is what makes two writers safe.
CREATE TABLE heads (
    partition smallint PRIMARY KEY,
    position bigint NOT NULL DEFAULT 0,
    hash bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex') CHECK (length(hash) = 32),
    epoch bigint NOT NULL DEFAULT 0,
    time timestamptz NOT NULL DEFAULT 'epoch',
    shard text NOT NULL
) WITH (fillfactor = 50);

-- The lease of each shard: a counter that its holder raises. It decides who tries to write, never who may.
CREATE TABLE shards (
    shard text PRIMARY KEY,
    holder text NOT NULL,
    url text NOT NULL,
    beat bigint NOT NULL DEFAULT 0,
    taken_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

CREATE TABLE events (
    partition smallint NOT NULL,
    position bigint NOT NULL,
    epoch bigint NOT NULL,
    app text NOT NULL,
    user_id text NOT NULL,
    asset text NOT NULL,
    account_version bigint NOT NULL,
    type text NOT NULL,
    schema_version smallint NOT NULL,
    event_id text NOT NULL,
    transaction_id text NOT NULL,
    command_id text NOT NULL,
    correlation_id text NOT NULL,
    causation_id text NOT NULL,
    actor text NOT NULL,
    idempotency_key text NOT NULL,
    time timestamptz NOT NULL,
    payload bytea NOT NULL,
    hash bytea NOT NULL,
    -- What the event is looked up by; each is in the payload too, and `verify` compares them.
    object text,
    reference text,
    member text,
    -- W3C trace context of the command; not part of the books.
    traceparent text,
    PRIMARY KEY (partition, position)
);
-- The journal of an account, and the proof that no version of it exists twice.
CREATE UNIQUE INDEX events_by_account ON events (app, user_id, asset, account_version) WHERE account_version > 0;
CREATE INDEX events_by_object ON events (object) WHERE object IS NOT NULL;
CREATE INDEX events_by_reference ON events (app, reference) WHERE reference IS NOT NULL;
CREATE INDEX events_by_member ON events (app, member, time) WHERE member IS NOT NULL;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are append-only' USING ERRCODE = 'TS003';
END $$;
CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE ON events FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER events_no_truncate BEFORE TRUNCATE ON events FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Free text lies here and can be erased; the payload holds SHA-256(salt, text).
CREATE TABLE texts (
    event_id text PRIMARY KEY,
    app text NOT NULL,
    user_id text NOT NULL,
    salt bytea NOT NULL,
    body text NOT NULL
);
CREATE INDEX texts_by_user ON texts (app, user_id);

GRANT SELECT ON deployment TO :runtime;
GRANT SELECT, UPDATE ON heads TO :runtime;
GRANT SELECT, INSERT, UPDATE ON shards TO :runtime;
GRANT SELECT, INSERT ON events TO :runtime;
GRANT SELECT, INSERT, DELETE ON texts TO :runtime;
