-- +goose Up
-- A key that replaced another counts as one with it: for what they may spend
-- together, and for how many keys a plan allows.
ALTER TABLE apikey_key ADD COLUMN root_id TEXT;     -- the first of the keys that replaced each other; NULL: itself
ALTER TABLE apikey_key ADD COLUMN replaced_by TEXT; -- the key that was made to take its place
