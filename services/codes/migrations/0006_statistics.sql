-- What statistics are added up from, beside codes and redemptions. Times are microseconds since the epoch.

-- What was paid for orders with codes, and what of it went back. An order's codes share it.
CREATE TABLE order_revenue (
    app text NOT NULL,
    order_id text NOT NULL,
    redemptions text[] NOT NULL,
    currency text NOT NULL,
    paid_minor bigint NOT NULL DEFAULT 0 CHECK (paid_minor >= 0),
    refunded_minor bigint NOT NULL DEFAULT 0 CHECK (refunded_minor >= 0),
    -- Null while only a refund was told of.
    paid_at bigint,
    PRIMARY KEY (app, order_id)
);
CREATE INDEX order_revenue_paid ON order_revenue (app, paid_at) WHERE paid_at IS NOT NULL;
CREATE INDEX redemptions_confirmed ON redemptions (app, ended_at) WHERE status = 'confirmed';
CREATE INDEX redemptions_open ON redemptions (reserved_at) WHERE status = 'reserved';

-- The events of the service by what they tell of: a code or a redemption by its id, a batch or a campaign as a whole.
CREATE FUNCTION told_of(data bytea, field text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN convert_from(data, 'UTF8')::jsonb ->> field;
CREATE INDEX outbox_of_code ON outbox (told_of(data, 'code'), id)
    WHERE topic = 'codes.events' AND told_of(data, 'code') IS NOT NULL;
CREATE INDEX outbox_of_batch ON outbox (told_of(data, 'batch'), id)
    WHERE topic = 'codes.events' AND told_of(data, 'batch') IS NOT NULL AND told_of(data, 'code') IS NULL;
CREATE INDEX outbox_of_redemption ON outbox (told_of(data, 'redemption'), id)
    WHERE topic = 'codes.events' AND told_of(data, 'redemption') IS NOT NULL;

GRANT SELECT, INSERT, UPDATE ON order_revenue TO :runtime;
