-- Quotes, and the prices that a hold has pinned.

-- {version, rates, …}: what the hold is captured by; null for a hold that was made by an amount.
ALTER TABLE holds ADD COLUMN card jsonb;

-- Not projected: what was promised, until it is over and for as long as a repeat of its key is answered.
CREATE TABLE quotes (
    id text PRIMARY KEY,
    app text NOT NULL,
    -- Empty: for any user of the app.
    user_id text NOT NULL,
    asset text NOT NULL,
    card jsonb NOT NULL,
    -- {unit: millionths}.
    usage jsonb NOT NULL,
    -- By the clock of the app.
    made_at timestamptz NOT NULL,
    valid_until timestamptz NOT NULL,
    -- By the real one.
    ends_at timestamptz NOT NULL
);
CREATE INDEX quotes_end ON quotes (ends_at);
GRANT SELECT, INSERT, DELETE ON quotes TO :runtime;

-- As before, with `card` of holds, whose amount may grow, and with quotes.
CREATE OR REPLACE FUNCTION ledger_append_rest(rest jsonb) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    INSERT INTO lots
        SELECT * FROM jsonb_to_recordset(rest -> 'lots') AS x(
            id text, partition smallint, app text, user_id text, asset text, amount bigint, source text, priority int,
            granted_at timestamptz, effective_at timestamptz, expires_at timestamptz, scope text[], cost_basis jsonb,
            origin jsonb, remaining bigint, pinned bigint, phase smallint, revoked bigint, broken bigint,
            revoking bigint, revoke_policy text, live boolean);

    INSERT INTO holds AS h
        SELECT * FROM jsonb_to_recordset(rest -> 'holds') AS x(
            id text, partition smallint, app text, user_id text, asset text, amount bigint, created_at timestamptz,
            limit_at timestamptz, expires_at timestamptz, service text, grant_id text, member text, reference text,
            slices jsonb, captured bigint, status text, resolved_at timestamptz, card jsonb)
        ON CONFLICT (id) DO UPDATE SET
            amount = excluded.amount, expires_at = excluded.expires_at, slices = excluded.slices,
            captured = excluded.captured, status = excluded.status, resolved_at = excluded.resolved_at;

    INSERT INTO transfers
        SELECT x.id, x.app, x.asset, x.from_user, x.to_user, x.from_partition, x.to_partition, x.amount, 'pending',
               NULL, x.created_at, NULL
        FROM jsonb_to_recordset(rest -> 'transfers') AS x(
            id text, app text, asset text, from_user text, to_user text, from_partition smallint,
            to_partition smallint, amount bigint, created_at timestamptz);
    UPDATE transfers t SET status = x.status, refusal = coalesce(x.refusal, t.refusal), settled_at = x.at
        FROM jsonb_to_recordset(rest -> 'settled_transfers') AS x(id text, status text, refusal text, at timestamptz)
        WHERE t.id = x.id;

    INSERT INTO quotes
        SELECT x.*, now() + (x.valid_until - x.made_at)
        FROM jsonb_to_recordset(rest -> 'quotes') AS x(
            id text, app text, user_id text, asset text, card jsonb, usage jsonb, made_at timestamptz,
            valid_until timestamptz);

    INSERT INTO configs
        SELECT * FROM jsonb_to_recordset(rest -> 'configs') AS x(
            app text, version int, document text, applied_at timestamptz, partition smallint, position bigint);

    INSERT INTO unique_refs
        SELECT x.app, x.user_id, x.command_type, x.ref, decode(x.fingerprint, 'hex'), x.object, x.status,
               convert_to(x.body, 'UTF8')
        FROM jsonb_to_recordset(rest -> 'unique_refs') AS x(
            app text, user_id text, command_type text, ref text, fingerprint text, object text, status smallint,
            body text);

    INSERT INTO texts
        SELECT x.event_id, x.app, x.user_id, decode(x.salt, 'hex'), x.body
        FROM jsonb_to_recordset(rest -> 'texts') AS x(event_id text, app text, user_id text, salt text, body text);
    DELETE FROM texts t USING jsonb_to_recordset(rest -> 'erased') AS x(app text, user_id text)
        WHERE t.app = x.app AND t.user_id = x.user_id;

    -- `dead_letters` and `command_cursors` come with the messaging migrations.
    INSERT INTO dead_letters (consumer, source, topic, partition, cluster_id, kafka_offset, message_id, type, reason,
                              detail, message)
        SELECT x.consumer, x.source, x.topic, x.partition, x.cluster_id, x.kafka_offset, x.message_id, x.type,
               x.reason, x.detail, decode(x.message, 'hex')
        FROM jsonb_to_recordset(rest -> 'dead_letters') AS x(
            consumer text, source text, topic text, partition int, cluster_id text, kafka_offset bigint,
            message_id text, type text, reason text, detail text, message text)
        ON CONFLICT DO NOTHING;

    INSERT INTO command_cursors
        SELECT * FROM jsonb_to_recordset(rest -> 'cursors') AS x(
            cluster_id text, topic text, partition int, next_offset bigint)
        ON CONFLICT (cluster_id, topic, partition) DO UPDATE SET next_offset = excluded.next_offset;
END $$;
