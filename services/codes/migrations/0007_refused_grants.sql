-- Payments that confirmed a redemption whose credits the ledger then refused: few, and somebody must see to each.
CREATE INDEX redemptions_ungranted ON redemptions (ended_at) WHERE status = 'confirmed' AND granted ? 'refusal';
