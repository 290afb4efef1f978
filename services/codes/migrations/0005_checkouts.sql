-- What is bought where codes were reserved: one row for all codes of a checkout. It is locked after campaigns, codes and
-- customers, so that two codes of one checkout are reserved one after the other.
CREATE TABLE checkouts (
    app text NOT NULL,
    id text NOT NULL,
    user_id text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
    currency text NOT NULL,
    service text,
    PRIMARY KEY (app, id)
);

-- A code has one row for a checkout, whatever became of it: reserving again takes that one up.
DROP INDEX redemptions_checkout;
CREATE UNIQUE INDEX redemptions_checkout ON redemptions (code_id, checkout) WHERE checkout IS NOT NULL;

-- The command that takes credits back after a refund of the whole, and what the ledger answered to it.
ALTER TABLE redemptions ADD COLUMN revoke_id text UNIQUE, ADD COLUMN revoked jsonb;
-- Whether a payment that had begun in time confirmed it after its use had been given back.
ALTER TABLE redemptions ADD COLUMN late boolean NOT NULL DEFAULT false;

-- A confirmed one whose credits are asked for keeps the end that its reservation had.
ALTER TABLE redemptions DROP CONSTRAINT redemptions_check,
    ADD CHECK (status <> 'reserved' OR command_id IS NULL OR expires_at IS NULL);

-- Uses that are not among the redemptions, because the code was used elsewhere before.
ALTER TABLE codes ADD COLUMN used_before int NOT NULL DEFAULT 0 CHECK (used_before >= 0);

ALTER TABLE entitlements ADD COLUMN ends_at bigint NOT NULL, ADD UNIQUE (redemption_id);
ALTER TABLE entitlements DROP COLUMN checkout;
CREATE INDEX entitlements_of_code ON entitlements (code_id, user_id);
CREATE INDEX redemptions_of_entitlement ON redemptions (entitlement_id) WHERE entitlement_id IS NOT NULL;

GRANT SELECT, INSERT, UPDATE ON checkouts TO :runtime;
