-- Batches: codes are made from a seed, in the order of an index, until there are enough.

ALTER TABLE batches
    ADD COLUMN name text,
    ADD COLUMN campaign_id text REFERENCES campaigns,
    -- With the pepper, which is not in the database, it makes the texts again. Destroyed when they are exported.
    ADD COLUMN seed bytea,
    -- The next index to make, and the next to void.
    ADD COLUMN next_index bigint NOT NULL DEFAULT 0,
    ADD COLUMN void_index bigint NOT NULL DEFAULT 0,
    ADD COLUMN ready_at bigint,
    ADD CHECK (seed IS NOT NULL OR exported_at IS NOT NULL OR status = 'void');
CREATE INDEX batches_listed ON batches (app, created_at DESC, id DESC);
CREATE INDEX batches_to_work_on ON batches (created_at)
    WHERE status = 'making' OR (status = 'void' AND void_index < next_index);

ALTER TABLE codes ADD COLUMN batch_index bigint;
DROP INDEX codes_of_batch;
CREATE UNIQUE INDEX codes_of_batch ON codes (batch_id, batch_index) WHERE batch_id IS NOT NULL;
