-- Who came by whom. Times are microseconds since the epoch, amounts of credits are numeric, money is in minor units.
-- Rows are locked in the order of these tables.

-- Locked while somebody is bound, so that no circle can close between two who are bound at once.
CREATE TABLE referral_apps (app text PRIMARY KEY);

-- Whose a personal code is; the one made last is shown, earlier ones still bind.
CREATE TABLE referral_codes (
    code_id text PRIMARY KEY REFERENCES codes,
    app text NOT NULL,
    user_id text NOT NULL,
    -- The first is generated; others were chosen.
    chosen boolean NOT NULL,
    made_at bigint NOT NULL
);
CREATE INDEX referral_codes_of_user ON referral_codes (app, user_id, made_at DESC);
CREATE UNIQUE INDEX referral_codes_generated ON referral_codes (app, user_id) WHERE NOT chosen;

-- Digests under the pepper of what was seen of a user; nothing can be read back from them.
CREATE TABLE referral_signals (
    app text NOT NULL,
    user_id text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('phone', 'card', 'email', 'payer', 'network', 'device', 'name')),
    digest bytea NOT NULL,
    seen_at bigint NOT NULL,
    PRIMARY KEY (app, user_id, kind, digest)
);
CREATE INDEX referral_signals_shared ON referral_signals (app, digest);

CREATE TABLE referrals (
    id text PRIMARY KEY,
    app text NOT NULL,
    referee text NOT NULL,
    referrer text NOT NULL,
    code_id text NOT NULL REFERENCES codes,
    status text NOT NULL DEFAULT 'bound' CHECK (status IN ('bound', 'on_hold', 'settled', 'refused')),
    review text NOT NULL DEFAULT 'none' CHECK (review IN ('none', 'waiting', 'approved')),
    flags text[] NOT NULL DEFAULT '{}',
    refusal text,
    bound_at bigint NOT NULL,
    bound_by text NOT NULL,
    -- The referee's first payment, and the programme as it was then.
    order_id text,
    order_minor bigint,
    refunded_minor bigint NOT NULL DEFAULT 0,
    currency text,
    paid_at bigint,
    due_at bigint,
    terms jsonb,
    reviewed_at bigint,
    reviewed_by text,
    review_reason text,
    ended_at bigint,
    UNIQUE (app, referee),
    CHECK (referee <> referrer),
    CHECK ((status = 'refused') = (refusal IS NOT NULL))
);
CREATE INDEX referrals_listed ON referrals (app, bound_at DESC, id DESC);
CREATE INDEX referrals_of_referrer ON referrals (app, referrer, bound_at DESC, id DESC);
CREATE INDEX referrals_flagged ON referrals (app, bound_at DESC, id DESC)
    WHERE review = 'waiting' AND status <> 'refused';

-- What was refunded of orders that payments have not told as paid yet.
CREATE TABLE referral_refunds (
    app text NOT NULL,
    order_id text NOT NULL,
    refunded_minor bigint NOT NULL,
    whole boolean NOT NULL,
    refunded_at bigint NOT NULL,
    PRIMARY KEY (app, order_id)
);

CREATE TABLE referral_rewards (
    id text PRIMARY KEY,
    app text NOT NULL,
    referral_id text NOT NULL REFERENCES referrals,
    role text NOT NULL CHECK (role IN ('referrer', 'referee', 'second_level')),
    user_id text NOT NULL,
    -- The referral by which the one on the second level earns.
    via text REFERENCES referrals,
    fixed numeric NOT NULL,
    rate numeric NOT NULL,
    -- `waiting`: for somebody's approval; `pending`: for the end of the hold; `sent`: for the ledger's outcome.
    status text NOT NULL
        CHECK (status IN ('waiting', 'pending', 'sent', 'paid', 'refused', 'revoking', 'revoked')),
    due_at bigint NOT NULL,
    amount numeric CHECK (amount > 0),
    month text,
    refusal text,
    command_id text UNIQUE,
    grant_id text,
    -- Set when it is to be taken back as soon as it is known to be there.
    take_back boolean NOT NULL DEFAULT false,
    revoke_command_id text UNIQUE,
    ended_at bigint,
    UNIQUE (referral_id, role)
);
CREATE INDEX referral_rewards_due ON referral_rewards (due_at) WHERE status = 'pending';
CREATE INDEX referral_rewards_due_of_app ON referral_rewards (app, due_at) WHERE status = 'pending';
CREATE INDEX referral_rewards_of_user ON referral_rewards (app, user_id);
CREATE INDEX referral_rewards_via ON referral_rewards (via) WHERE via IS NOT NULL;

-- What a referrer has earned in a calendar month of the app's zone, on both levels.
CREATE TABLE referral_months (
    app text NOT NULL,
    user_id text NOT NULL,
    month text NOT NULL,
    earned numeric NOT NULL DEFAULT 0 CHECK (earned >= 0),
    PRIMARY KEY (app, user_id, month)
);

GRANT SELECT, INSERT, UPDATE ON referral_apps, referral_codes, referral_signals, referrals, referral_refunds,
    referral_rewards, referral_months TO :runtime;
GRANT DELETE ON referral_refunds TO :runtime;
