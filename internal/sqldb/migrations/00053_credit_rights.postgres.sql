-- +goose Up
-- What happened is written once. The triggers refuse changes; and the role that
-- owns the tables, which is the one that Rephlo runs as, has no right to try.
REVOKE UPDATE, DELETE, TRUNCATE ON credit_transfer, credit_batch, credit_root, credit_uncollected FROM CURRENT_USER;

-- +goose Down
GRANT UPDATE, DELETE, TRUNCATE ON credit_transfer, credit_batch, credit_root, credit_uncollected TO CURRENT_USER;
