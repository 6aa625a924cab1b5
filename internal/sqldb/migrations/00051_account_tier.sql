-- +goose Up
ALTER TABLE account_user ADD COLUMN tier TEXT NOT NULL DEFAULT ''; -- of the live subscription
UPDATE account_user SET tier = COALESCE((
    SELECT p.tier FROM subscription_plan p
    WHERE p.user_id = account_user.id AND p.state IN ('trial', 'active', 'past_due', 'suspended')), '');
CREATE INDEX account_user_tier ON account_user (tier, created_at, id);
CREATE INDEX account_user_tier_login ON account_user (tier, COALESCE(last_login_at, 0), id);
