-- The one way to write: compare and set epoch and heads, then everything of the batch, in one statement and so in one
-- transaction. TS001: another writer has taken a partition over. TS002: a head is not where this writer believes it.
-- What a batch has many of comes as arrays, the rest as one JSON document.
CREATE FUNCTION ledger_append(
    h_partition smallint[], h_epoch bigint[], h_from bigint[], h_to bigint[], h_hash bytea[], h_time timestamptz[],
    e_partition smallint[], e_position bigint[], e_epoch bigint[], e_app text[], e_user text[], e_asset text[],
    e_version bigint[], e_type text[], e_id text[], e_transaction text[], e_command text[], e_correlation text[],
    e_causation text[], e_actor text[], e_key text[], e_time timestamptz[], e_payload bytea[], e_hash bytea[],
    e_object text[], e_reference text[], e_member text[], e_trace text[],
    r_app text[], r_caller text[], r_user text[], r_key text[], r_fingerprint bytea[], r_type text[], r_command text[],
    r_status smallint[], r_body bytea[], r_partition smallint[], r_position bigint[],
    a_app text[], a_user text[], a_asset text[], a_partition smallint[], a_version bigint[], a_changed timestamptz[],
    a_settled bigint[], a_held bigint[], a_owed bigint[], a_overdraft bigint[], a_granted bigint[], a_spent bigint[],
    a_due timestamptz[], a_facts text[],
    l_id text[], l_remaining bigint[], l_pinned bigint[], l_phase smallint[], l_revoked bigint[], l_broken bigint[],
    l_revoking bigint[], l_policy text[], l_live boolean[],
    rest jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    fenced int;
    stale int;
    locked int;
BEGIN
    PERFORM 1 FROM heads h WHERE h.partition = ANY (h_partition) ORDER BY h.partition FOR UPDATE;
    SELECT count(*), count(*) FILTER (WHERE h.epoch <> u.epoch), count(*) FILTER (WHERE h.position <> u.position)
        INTO locked, fenced, stale
        FROM unnest(h_partition, h_epoch, h_from) AS u(partition, epoch, position) JOIN heads h USING (partition);
    IF fenced > 0 THEN
        RAISE EXCEPTION 'another writer has taken over' USING ERRCODE = 'TS001';
    END IF;
    IF stale > 0 OR locked <> cardinality(h_partition) THEN
        RAISE EXCEPTION 'a head is not where it was expected' USING ERRCODE = 'TS002';
    END IF;
    UPDATE heads h SET position = u.position, hash = u.hash, time = u.time
        FROM unnest(h_partition, h_to, h_hash, h_time) AS u(partition, position, hash, time)
        WHERE h.partition = u.partition;

    INSERT INTO events
        SELECT u.partition, u.position, u.epoch, u.app, u.user_id, u.asset, u.version, u.type, 1, u.id, u.transaction,
               u.command, u.correlation, u.causation, u.actor, u.key, u.time, u.payload, u.hash, u.object,
               u.reference, u.member, u.trace
        FROM unnest(e_partition, e_position, e_epoch, e_app, e_user, e_asset, e_version, e_type, e_id, e_transaction,
                    e_command, e_correlation, e_causation, e_actor, e_key, e_time, e_payload, e_hash, e_object,
                    e_reference, e_member, e_trace)
            AS u(partition, position, epoch, app, user_id, asset, version, type, id, transaction, command, correlation,
                 causation, actor, key, time, payload, hash, object, reference, member, trace);

    INSERT INTO results
        SELECT * FROM unnest(r_app, r_caller, r_user, r_key, r_fingerprint, r_type, r_command, r_status, r_body,
                             r_partition, r_position);

    INSERT INTO accounts AS a
        SELECT * FROM unnest(a_app, a_user, a_asset, a_partition, a_version, a_changed, a_settled, a_held, a_owed,
                             a_overdraft, a_granted, a_spent, a_due, a_facts)
        ON CONFLICT (app, user_id, asset) DO UPDATE SET
            version = excluded.version, changed_at = excluded.changed_at, settled = excluded.settled,
            held = excluded.held, owed = excluded.owed, overdraft_used = excluded.overdraft_used,
            granted_total = excluded.granted_total, spent_total = excluded.spent_total, due_at = excluded.due_at,
            facts = excluded.facts;

    UPDATE lots l SET remaining = u.remaining, pinned = u.pinned, phase = u.phase, revoked = u.revoked,
            broken = u.broken, revoking = u.revoking, revoke_policy = u.policy, live = u.live
        FROM unnest(l_id, l_remaining, l_pinned, l_phase, l_revoked, l_broken, l_revoking, l_policy, l_live)
            AS u(id, remaining, pinned, phase, revoked, broken, revoking, policy, live)
        WHERE l.id = u.id;

    IF rest IS NOT NULL THEN
        PERFORM ledger_append_rest(rest);
    END IF;
END $$;

CREATE FUNCTION ledger_append_rest(rest jsonb) RETURNS void LANGUAGE plpgsql AS $$
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

REVOKE ALL ON FUNCTION ledger_append_rest, ledger_take_over FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger_append_rest, ledger_take_over TO :runtime;
