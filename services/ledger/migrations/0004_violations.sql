-- What the verifier found wrong. A violation that is not cleared stops the writers of the shard that owns its partition,
-- of every shard where it has none. Only the owner of the database clears one, and says who and why.
CREATE TABLE violations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    invariant text NOT NULL,
    partition smallint,
    -- Null for what is not in the log.
    position bigint,
    detail text NOT NULL CHECK (length(detail) <= 500),
    found_by text NOT NULL,
    found_at timestamptz NOT NULL DEFAULT now(),
    cleared_at timestamptz,
    cleared_by text,
    reason text,
    CHECK ((cleared_at IS NULL) = (cleared_by IS NULL) AND (cleared_at IS NULL) = (reason IS NULL))
);
-- The log does not change: what was once found in it, and cleared, is not news. What is found in a table again is.
CREATE UNIQUE INDEX violations_in_log ON violations (invariant, partition, position, detail)
    WHERE position IS NOT NULL;
CREATE UNIQUE INDEX violations_in_tables ON violations (invariant, coalesce(partition, -1), detail)
    WHERE position IS NULL AND cleared_at IS NULL;
CREATE INDEX violations_open ON violations (id) WHERE cleared_at IS NULL;

GRANT SELECT, INSERT ON violations TO :runtime;
