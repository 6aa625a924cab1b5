-- +goose Up
-- Up to where the audit log was forgotten, and what the chain goes on from.
CREATE TABLE audit_pruned (                      -- append-only
    no        BIGINT PRIMARY KEY,                -- from 1, without gaps
    seq       BIGINT NOT NULL,                   -- the last row that is gone
    hash      TEXT NOT NULL,                     -- of that row
    count     BIGINT NOT NULL CHECK (count > 0), -- rows that went with it
    newest_at BIGINT NOT NULL,                   -- of those
    at        BIGINT NOT NULL,
    signature TEXT NOT NULL                      -- of the columns, chained to the marker before
);
DROP TRIGGER audit_log_no_delete;
-- +goose StatementBegin
CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log WHEN OLD.seq > COALESCE((SELECT MAX(seq) FROM audit_pruned), 0) BEGIN
    SELECT RAISE(ABORT, 'audit_log is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_pruned_in_order BEFORE INSERT ON audit_pruned
    WHEN NEW.no <> COALESCE((SELECT MAX(no) FROM audit_pruned), 0) + 1 OR NEW.seq <> COALESCE((SELECT MAX(seq) FROM audit_pruned), 0) + NEW.count
        OR NOT EXISTS (SELECT 1 FROM audit_log WHERE seq = NEW.seq AND hash = NEW.hash) BEGIN
    SELECT RAISE(ABORT, 'audit_pruned names the next rows of audit_log');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_pruned_no_update BEFORE UPDATE ON audit_pruned BEGIN
    SELECT RAISE(ABORT, 'audit_pruned is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_pruned_no_delete BEFORE DELETE ON audit_pruned BEGIN
    SELECT RAISE(ABORT, 'audit_pruned is append-only');
END;
-- +goose StatementEnd
