-- Who publishes a partition: a relay raises the epochs when it starts, and from then on an earlier one publishes nothing.
ALTER TABLE relay_checkpoints ADD COLUMN epoch bigint NOT NULL DEFAULT 0;
