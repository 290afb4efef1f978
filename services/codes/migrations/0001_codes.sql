-- Codes and what was made of them. Times are microseconds since the epoch, amounts of credits are numeric, money is in
-- minor units. Rows of campaigns, codes and customers (code_users) are locked in this order and no other.

CREATE TABLE campaigns (
    id text PRIMARY KEY,
    app text NOT NULL,
    name text NOT NULL,
    -- What may be given in all: credits, and discounts in minor units of `currency`; null: any amount.
    budget numeric,
    reserved numeric NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    spent numeric NOT NULL DEFAULT 0 CHECK (spent >= 0),
    budget_minor bigint,
    reserved_minor bigint NOT NULL DEFAULT 0 CHECK (reserved_minor >= 0),
    spent_minor bigint NOT NULL DEFAULT 0 CHECK (spent_minor >= 0),
    currency text,
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused', 'void')),
    version int NOT NULL DEFAULT 1,
    created_at bigint NOT NULL,
    created_by text NOT NULL,
    UNIQUE (app, name)
);

-- Codes that were generated together from one `spec`; their texts are known until `exported_at`.
CREATE TABLE batches (
    id text PRIMARY KEY,
    app text NOT NULL,
    spec jsonb NOT NULL,
    count int NOT NULL CHECK (count > 0),
    made int NOT NULL DEFAULT 0,
    status text NOT NULL DEFAULT 'making' CHECK (status IN ('making', 'ready', 'void')),
    exported_at bigint,
    created_at bigint NOT NULL,
    created_by text NOT NULL
);

CREATE TABLE codes (
    id text PRIMARY KEY,
    app text NOT NULL,
    batch_id text REFERENCES batches,
    campaign_id text REFERENCES campaigns,
    kind text NOT NULL CHECK (kind IN ('recharge', 'discount', 'welcome', 'bonus', 'gift', 'referral')),
    -- Only what was chosen to be public is kept as it is; of every code the digest under the pepper.
    text text,
    digest bytea NOT NULL,
    last4 text NOT NULL,
    name text,
    amount numeric CHECK (amount > 0),
    percent_off numeric CHECK (percent_off > 0 AND percent_off <= 100),
    amount_off_minor bigint CHECK (amount_off_minor > 0),
    currency text,
    min_minor bigint NOT NULL DEFAULT 0,
    max_off_minor bigint,
    service text,
    max_uses int CHECK (max_uses > 0),
    per_user_limit int DEFAULT 1 CHECK (per_user_limit > 0),
    starts_at bigint,
    ends_at bigint,
    scope text[] NOT NULL DEFAULT '{}',
    source text,
    expires_after_s bigint,
    audience jsonb,
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused', 'void')),
    reserved int NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    redeemed int NOT NULL DEFAULT 0 CHECK (redeemed >= 0),
    balance numeric CHECK (balance >= 0),
    -- Since its first use, after which its terms stay as they are.
    frozen_at bigint,
    version int NOT NULL DEFAULT 1,
    created_at bigint NOT NULL,
    created_by text NOT NULL,
    UNIQUE (app, digest)
);
CREATE INDEX codes_listed ON codes (app, created_at DESC, id DESC);
CREATE INDEX codes_of_batch ON codes (batch_id) WHERE batch_id IS NOT NULL;
CREATE INDEX codes_of_campaign ON codes (campaign_id) WHERE campaign_id IS NOT NULL;

-- How often one user has used a code.
CREATE TABLE code_users (
    code_id text NOT NULL REFERENCES codes,
    user_id text NOT NULL,
    reserved int NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    redeemed int NOT NULL DEFAULT 0 CHECK (redeemed >= 0),
    PRIMARY KEY (code_id, user_id)
);

-- What other services have told of a user.
CREATE TABLE customers (
    app text NOT NULL,
    user_id text NOT NULL,
    opened_at bigint,
    first_paid_at bigint,
    PRIMARY KEY (app, user_id)
);

CREATE TABLE redemptions (
    id text PRIMARY KEY,
    app text NOT NULL,
    code_id text NOT NULL REFERENCES codes,
    user_id text NOT NULL,
    caller text NOT NULL,
    checkout text,
    status text NOT NULL CHECK (status IN ('reserved', 'confirmed', 'released', 'expired', 'rolled_back')),
    amount numeric,
    discount_minor bigint,
    currency text,
    entitlement_id text,
    -- A reservation whose command was sent has no end of its own: it waits for the outcome.
    command_id text UNIQUE,
    granted jsonb,
    refusal text,
    reserved_at bigint NOT NULL,
    expires_at bigint CHECK (command_id IS NULL OR expires_at IS NULL),
    ended_at bigint
);
CREATE UNIQUE INDEX redemptions_checkout ON redemptions (code_id, checkout)
    WHERE checkout IS NOT NULL AND status IN ('reserved', 'confirmed');
CREATE INDEX redemptions_listed ON redemptions (app, reserved_at DESC, id DESC);
CREATE INDEX redemptions_of_user ON redemptions (app, user_id, reserved_at DESC, id DESC);
CREATE INDEX redemptions_of_code ON redemptions (code_id, reserved_at DESC, id DESC);
CREATE INDEX redemptions_of_checkout ON redemptions (app, checkout) WHERE checkout IS NOT NULL;
CREATE INDEX redemptions_due ON redemptions (expires_at) WHERE status = 'reserved' AND expires_at IS NOT NULL;

-- The discount of a code that was redeemed without a checkout: a later one takes it up without another use.
CREATE TABLE entitlements (
    id text PRIMARY KEY,
    app text NOT NULL,
    redemption_id text NOT NULL REFERENCES redemptions,
    code_id text NOT NULL REFERENCES codes,
    user_id text NOT NULL,
    status text NOT NULL DEFAULT 'available' CHECK (status IN ('available', 'reserved', 'used', 'void')),
    checkout text,
    created_at bigint NOT NULL
);
CREATE INDEX entitlements_of_user ON entitlements (app, user_id, status);

GRANT SELECT, INSERT, UPDATE ON campaigns, batches, codes, code_users, customers, redemptions, entitlements TO :runtime;
