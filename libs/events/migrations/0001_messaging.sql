-- Messaging: what a service publishes, what it has sent and awaits, what it has consumed.

-- What is to be published is written here with its cause, under the aggregate's lock. The stamper numbers committed
-- rows per (topic, partition); only numbered rows exist for the relay and the feed. Nothing is ever deleted.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    partition int NOT NULL CHECK (partition >= 0),
    message_id text NOT NULL UNIQUE,
    type text NOT NULL,
    app text NOT NULL,
    subject text NOT NULL,
    time_us bigint NOT NULL,
    correlation_id text,
    causation_id text,
    traceparent text,
    actor text,
    idempotency_key text,
    data bytea NOT NULL,
    seq bigint,
    prevseq bigint,
    CHECK ((seq IS NULL) = (prevseq IS NULL) AND seq > prevseq)
);
CREATE INDEX outbox_unnumbered ON outbox (id) WHERE seq IS NULL;
CREATE UNIQUE INDEX outbox_log ON outbox (topic, partition, seq) WHERE seq IS NOT NULL;

CREATE TABLE outbox_heads (
    topic text NOT NULL,
    partition int NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (topic, partition)
);

-- One row: whoever raised the epoch last is the stamper.
CREATE TABLE outbox_stamper (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch bigint NOT NULL
);
INSERT INTO outbox_stamper (epoch) VALUES (0);

-- Incarnations of the log. A restore begins a new one, which shares with its predecessor what lies up to its forks.
CREATE TABLE outbox_streams (
    number int PRIMARY KEY,
    stream text NOT NULL UNIQUE,
    started_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO outbox_streams (number, stream) VALUES (1, replace(gen_random_uuid()::text, '-', ''));
CREATE TABLE outbox_forks (
    number int NOT NULL REFERENCES outbox_streams,
    topic text NOT NULL,
    partition int NOT NULL,
    forked_at bigint NOT NULL,
    PRIMARY KEY (number, topic, partition)
);

-- Up to which seq the broker has acknowledged everything.
CREATE TABLE relay_checkpoints (
    topic text NOT NULL,
    partition int NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (topic, partition)
);

-- Commands that this service sent, until and after their outcome.
CREATE TABLE sent_commands (
    command_id text PRIMARY KEY REFERENCES outbox (message_id),
    sent_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    due_at timestamptz NOT NULL,
    attempts int NOT NULL DEFAULT 1,
    outcome_id text,
    outcome_type text,
    outcome_data bytea,
    answered_at timestamptz
);
CREATE INDEX sent_commands_due ON sent_commands (due_at) WHERE answered_at IS NULL;

-- How far each consumer has come; moved in the transaction of its effects.
CREATE TABLE consumer_checkpoints (
    consumer text NOT NULL,
    source text NOT NULL,
    topic text NOT NULL,
    partition int NOT NULL,
    stream text NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (consumer, source, topic, partition)
);

-- Messages that could not be handled. Events have a stream and a seq, everything else has its place in Kafka.
CREATE TABLE dead_letters (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer text NOT NULL,
    source text NOT NULL,
    topic text NOT NULL,
    partition int NOT NULL,
    stream text,
    seq bigint,
    cluster_id text,
    kafka_offset bigint,
    message_id text,
    type text,
    reason text NOT NULL,
    detail text NOT NULL,
    message bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    replay_requested_at timestamptz,
    replayed_at timestamptz
);
CREATE UNIQUE INDEX dead_letters_events ON dead_letters (consumer, source, topic, partition, stream, seq)
    WHERE seq IS NOT NULL;
CREATE UNIQUE INDEX dead_letters_records ON dead_letters (consumer, cluster_id, topic, partition, kafka_offset)
    WHERE seq IS NULL;
CREATE INDEX dead_letters_open ON dead_letters (consumer, id) WHERE replayed_at IS NULL;

-- How far commands have been taken, by Kafka offset of one incarnation of the broker's log.
CREATE TABLE command_cursors (
    cluster_id text NOT NULL,
    topic text NOT NULL,
    partition int NOT NULL,
    next_offset bigint NOT NULL,
    PRIMARY KEY (cluster_id, topic, partition)
);

GRANT SELECT, INSERT, UPDATE (seq, prevseq) ON outbox TO :runtime;
GRANT SELECT, INSERT, UPDATE ON outbox_heads, outbox_stamper, relay_checkpoints, consumer_checkpoints TO :runtime;
GRANT SELECT ON outbox_streams, outbox_forks TO :runtime;
GRANT SELECT, INSERT, UPDATE ON sent_commands, command_cursors, dead_letters TO :runtime;
