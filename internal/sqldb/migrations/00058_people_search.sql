-- +goose Up
-- What all calls of a person were charged, as far as usage is added up (µcr): it
-- is what a list of people is sorted by.
ALTER TABLE account_user ADD COLUMN credits_used BIGINT NOT NULL DEFAULT 0;
UPDATE account_user SET credits_used = COALESCE((SELECT CAST(SUM(charged) AS BIGINT) FROM usage_summary s WHERE s.user_id = account_user.id), 0);
CREATE INDEX account_user_used ON account_user (credits_used, id);
-- Keys are found by what their owners see of them.
CREATE INDEX apikey_key_prefix ON apikey_key (prefix, id);
