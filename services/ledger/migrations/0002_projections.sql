-- What is projected from the log in the transaction that appends to it. `rebuild` can make all of this anew.
CREATE TABLE accounts (
    app text NOT NULL,
    user_id text NOT NULL,
    asset text NOT NULL,
    partition smallint NOT NULL,
    version bigint NOT NULL,
    changed_at timestamptz NOT NULL,
    settled bigint NOT NULL,
    held bigint NOT NULL CHECK (held >= 0),
    owed bigint NOT NULL CHECK (owed >= 0),
    overdraft_used bigint NOT NULL CHECK (overdraft_used >= 0),
    granted_total bigint NOT NULL,
    spent_total bigint NOT NULL,
    due_at timestamptz,
    -- What seldom changes, as JSON: scale, times of opening and closing, zone, overdraft, freezes, thresholds, earnings.
    facts text NOT NULL,
    PRIMARY KEY (app, user_id, asset)
) WITH (fillfactor = 70);
CREATE INDEX accounts_due ON accounts (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE lots (
    id text PRIMARY KEY,
    partition smallint NOT NULL,
    app text NOT NULL,
    user_id text NOT NULL,
    asset text NOT NULL,
    amount bigint NOT NULL,
    source text NOT NULL,
    priority int NOT NULL,
    granted_at timestamptz NOT NULL,
    effective_at timestamptz NOT NULL,
    expires_at timestamptz,
    scope text[] NOT NULL,
    -- {amount_minor, currency} and {kind, id}.
    cost_basis jsonb,
    origin jsonb,
    remaining bigint NOT NULL CHECK (remaining >= 0),
    pinned bigint NOT NULL CHECK (pinned >= 0),
    phase smallint NOT NULL,
    revoked bigint NOT NULL,
    broken bigint NOT NULL,
    revoking bigint NOT NULL,
    revoke_policy text NOT NULL,
    -- Whether the lot still belongs to its account's state; a dead one is read only when something names it.
    live boolean NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX lots_live ON lots (app, user_id, asset) WHERE live;
CREATE INDEX lots_by_account ON lots (app, user_id, asset, id);

CREATE TABLE holds (
    id text PRIMARY KEY,
    partition smallint NOT NULL,
    app text NOT NULL,
    user_id text NOT NULL,
    asset text NOT NULL,
    amount bigint NOT NULL,
    created_at timestamptz NOT NULL,
    limit_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    service text,
    grant_id text,
    member text,
    reference text,
    -- [[lot, units], …] still pinned.
    slices jsonb NOT NULL,
    captured bigint NOT NULL,
    status text NOT NULL,
    resolved_at timestamptz
) WITH (fillfactor = 70);
CREATE INDEX holds_open ON holds (app, user_id, asset) WHERE status = 'open';
CREATE INDEX holds_by_account ON holds (app, user_id, asset, id);

-- pending → completed, or pending → refused → returned. Each step is taken by the writer of one partition.
CREATE TABLE transfers (
    id text PRIMARY KEY,
    app text NOT NULL,
    asset text NOT NULL,
    from_user text NOT NULL,
    to_user text NOT NULL,
    from_partition smallint NOT NULL,
    to_partition smallint NOT NULL,
    amount bigint NOT NULL,
    status text NOT NULL,
    refusal text,
    created_at timestamptz NOT NULL,
    settled_at timestamptz
);
CREATE INDEX transfers_open ON transfers (status, id) WHERE status IN ('pending', 'refused');

CREATE TABLE configs (
    app text NOT NULL,
    version int NOT NULL,
    document text NOT NULL,
    applied_at timestamptz NOT NULL,
    partition smallint NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (app, version)
);

-- Not projected: outcomes under idempotency keys (35 days), unique references (for ever).
CREATE TABLE results (
    app text NOT NULL,
    caller text NOT NULL,
    user_id text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    command_type text NOT NULL,
    command_id text NOT NULL,
    status smallint NOT NULL,
    body bytea NOT NULL,
    partition smallint NOT NULL,
    position bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (app, user_id, key, caller)
);
CREATE INDEX results_age ON results USING brin (created_at);

CREATE TABLE unique_refs (
    app text NOT NULL,
    user_id text NOT NULL,
    command_type text NOT NULL,
    ref text NOT NULL,
    fingerprint bytea NOT NULL,
    object text NOT NULL,
    status smallint NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (app, user_id, command_type, ref)
);

GRANT SELECT, INSERT, UPDATE ON accounts, lots, holds, transfers, configs TO :runtime;
GRANT SELECT, INSERT, DELETE ON results TO :runtime;
GRANT SELECT, INSERT ON unique_refs TO :runtime;
