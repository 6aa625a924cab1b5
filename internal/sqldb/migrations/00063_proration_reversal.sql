-- +goose Up
-- A change of plan can be taken back: its mirror names it, and one mirror is all
-- that there can be.
ALTER TABLE subscription_proration ADD COLUMN period_anchor BIGINT NOT NULL DEFAULT 0; -- of the billing periods before the change; 0: not known
ALTER TABLE subscription_proration ADD COLUMN period_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE subscription_proration ADD COLUMN reverses TEXT; -- the change that this one takes back; its extra was taken, not given
CREATE UNIQUE INDEX subscription_proration_reverses ON subscription_proration (reverses) WHERE reverses IS NOT NULL;
CREATE INDEX subscription_proration_subscription ON subscription_proration (subscription_id, id);
