-- The one way to write: compare and set epoch and heads, then everything of the batch, in one statement and so in one
-- transaction. TS001: another writer has taken a partition over. TS002: a head is not where this writer believes it.
--
-- What a batch has many of comes as columns, the rest as one JSON document. A column is text: its values separated by
-- 0x1F, which no value may contain, 0x1E standing for null (and for the empty string where a column has no nulls).
-- Building and sending that costs the writer a third of what arrays of parameters do. Times are microseconds since the
-- epoch, hashes are hexadecimal, payloads and bodies are the text of their JSON.
CREATE FUNCTION ledger_column(joined text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN string_to_array(joined, E'\x1f', E'\x1e');

CREATE FUNCTION ledger_time(microseconds bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 'epoch'::timestamptz + microseconds * interval '1 microsecond';

CREATE FUNCTION ledger_append(heads text[], events text[], results text[], accounts text[], lots text[], rest jsonb)
-- The plans of a new deployment are made on empty tables, which look cheapest to read whole; they are kept for long.
RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    partitions smallint[] := ledger_column(heads[1])::smallint[];
    fenced int;
    stale int;
    locked int;
BEGIN
    PERFORM 1 FROM heads h WHERE h.partition = ANY (partitions) ORDER BY h.partition FOR UPDATE;
    SELECT count(*), count(*) FILTER (WHERE h.epoch <> u.epoch), count(*) FILTER (WHERE h.position <> u.position)
        INTO locked, fenced, stale
        FROM unnest(partitions, ledger_column(heads[2])::bigint[], ledger_column(heads[3])::bigint[])
            AS u(partition, epoch, position)
        JOIN heads h USING (partition);
    IF fenced > 0 THEN
        RAISE EXCEPTION 'another writer has taken over' USING ERRCODE = 'TS001';
    END IF;
    IF stale > 0 OR locked <> cardinality(partitions) THEN
        RAISE EXCEPTION 'a head is not where it was expected' USING ERRCODE = 'TS002';
    END IF;
    UPDATE heads h SET position = u.position, hash = decode(u.hash, 'hex'), time = ledger_time(u.time)
        FROM unnest(partitions, ledger_column(heads[4])::bigint[], ledger_column(heads[5]),
                    ledger_column(heads[6])::bigint[]) AS u(partition, position, hash, time)
        WHERE h.partition = u.partition;

    INSERT INTO events
        SELECT u.partition, u.position, u.epoch, u.app, u.user_id, coalesce(u.asset, ''), u.version, u.type, 1, u.id,
               u.transaction, u.command, u.correlation, u.causation, u.actor, coalesce(u.key, ''),
               ledger_time(u.time), convert_to(u.payload, 'UTF8'), decode(u.hash, 'hex'), u.object, u.reference,
               u.member, u.trace
        FROM unnest(
            ledger_column(events[1])::smallint[], ledger_column(events[2])::bigint[],
            ledger_column(events[3])::bigint[], ledger_column(events[4]), ledger_column(events[5]),
            ledger_column(events[6]), ledger_column(events[7])::bigint[], ledger_column(events[8]),
            ledger_column(events[9]), ledger_column(events[10]), ledger_column(events[11]), ledger_column(events[12]),
            ledger_column(events[13]), ledger_column(events[14]), ledger_column(events[15]),
            ledger_column(events[16])::bigint[], ledger_column(events[17]), ledger_column(events[18]),
            ledger_column(events[19]), ledger_column(events[20]), ledger_column(events[21]), ledger_column(events[22]))
            AS u(partition, position, epoch, app, user_id, asset, version, type, id, transaction, command, correlation,
                 causation, actor, key, time, payload, hash, object, reference, member, trace);

    INSERT INTO results
        SELECT u.app, u.caller, coalesce(u.user_id, ''), u.key, decode(u.fingerprint, 'hex'), u.type,
               coalesce(u.command, ''), u.status, convert_to(u.body, 'UTF8'), u.partition, u.position
        FROM unnest(
            ledger_column(results[1]), ledger_column(results[2]), ledger_column(results[3]), ledger_column(results[4]),
            ledger_column(results[5]), ledger_column(results[6]), ledger_column(results[7]),
            ledger_column(results[8])::smallint[], ledger_column(results[9]), ledger_column(results[10])::smallint[],
            ledger_column(results[11])::bigint[])
            AS u(app, caller, user_id, key, fingerprint, type, command, status, body, partition, position);

    INSERT INTO accounts AS a
        SELECT u.app, u.user_id, u.asset, u.partition, u.version, ledger_time(u.changed), u.settled, u.held, u.owed,
               u.overdraft, u.granted, u.spent, ledger_time(u.due), u.facts
        FROM unnest(
            ledger_column(accounts[1]), ledger_column(accounts[2]), ledger_column(accounts[3]),
            ledger_column(accounts[4])::smallint[], ledger_column(accounts[5])::bigint[],
            ledger_column(accounts[6])::bigint[], ledger_column(accounts[7])::bigint[],
            ledger_column(accounts[8])::bigint[], ledger_column(accounts[9])::bigint[],
            ledger_column(accounts[10])::bigint[], ledger_column(accounts[11])::bigint[],
            ledger_column(accounts[12])::bigint[], ledger_column(accounts[13])::bigint[], ledger_column(accounts[14]))
            AS u(app, user_id, asset, partition, version, changed, settled, held, owed, overdraft, granted, spent, due,
                 facts)
        ON CONFLICT (app, user_id, asset) DO UPDATE SET
            version = excluded.version, changed_at = excluded.changed_at, settled = excluded.settled,
            held = excluded.held, owed = excluded.owed, overdraft_used = excluded.overdraft_used,
            granted_total = excluded.granted_total, spent_total = excluded.spent_total, due_at = excluded.due_at,
            facts = excluded.facts;

    UPDATE lots l SET remaining = u.remaining, pinned = u.pinned, phase = u.phase, revoked = u.revoked,
            broken = u.broken, revoking = u.revoking, revoke_policy = u.policy, live = u.live
        FROM unnest(
            ledger_column(lots[1]), ledger_column(lots[2])::bigint[], ledger_column(lots[3])::bigint[],
            ledger_column(lots[4])::smallint[], ledger_column(lots[5])::bigint[], ledger_column(lots[6])::bigint[],
            ledger_column(lots[7])::bigint[], ledger_column(lots[8]), ledger_column(lots[9])::boolean[])
            AS u(id, remaining, pinned, phase, revoked, broken, revoking, policy, live)
        WHERE l.id = u.id;

    IF rest IS NOT NULL THEN
        PERFORM ledger_append_rest(rest);
    END IF;
END $$;

CREATE FUNCTION ledger_append_rest(rest jsonb) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS $$
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
            slices jsonb, captured bigint, status text, resolved_at timestamptz)
        ON CONFLICT (id) DO UPDATE SET
            expires_at = excluded.expires_at, slices = excluded.slices, captured = excluded.captured,
            status = excluded.status, resolved_at = excluded.resolved_at;

    INSERT INTO transfers
        SELECT x.id, x.app, x.asset, x.from_user, x.to_user, x.from_partition, x.to_partition, x.amount, 'pending',
               NULL, x.created_at, NULL
        FROM jsonb_to_recordset(rest -> 'transfers') AS x(
            id text, app text, asset text, from_user text, to_user text, from_partition smallint,
            to_partition smallint, amount bigint, created_at timestamptz);
    UPDATE transfers t SET status = x.status, refusal = coalesce(x.refusal, t.refusal), settled_at = x.at
        FROM jsonb_to_recordset(rest -> 'settled_transfers') AS x(id text, status text, refusal text, at timestamptz)
        WHERE t.id = x.id;

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

-- Make a process the writer of a shard: every epoch of its partitions is raised, in partition order, so that whatever
-- the previous writer still sends is refused. Waits for a transaction of it that is still going on.
CREATE FUNCTION ledger_take_over(p_shard text, p_holder text, p_url text)
RETURNS TABLE (partition smallint, "position" bigint, hash bytea, epoch bigint, "time" timestamptz)
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO shards AS s (shard, holder, url) VALUES (p_shard, p_holder, p_url)
        ON CONFLICT (shard) DO UPDATE SET holder = p_holder, url = p_url, beat = s.beat + 1, taken_at = now();
    PERFORM 1 FROM heads h WHERE h.shard = p_shard ORDER BY h.partition FOR UPDATE;
    RETURN QUERY UPDATE heads h SET epoch = h.epoch + 1 WHERE h.shard = p_shard
        RETURNING h.partition, h.position, h.hash, h.epoch, h.time;
END $$;

REVOKE ALL ON FUNCTION ledger_append, ledger_append_rest, ledger_take_over FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger_append, ledger_append_rest, ledger_take_over TO :runtime;
