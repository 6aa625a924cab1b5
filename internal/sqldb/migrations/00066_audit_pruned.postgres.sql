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
DROP TRIGGER audit_log_no_change ON audit_log;
CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION audit_append_only();
-- +goose StatementBegin
CREATE FUNCTION audit_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.seq > COALESCE((SELECT MAX(seq) FROM audit_pruned), 0) THEN
        RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
    END IF;
    RETURN OLD;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION audit_keep();
-- +goose StatementBegin
CREATE FUNCTION audit_pruned_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.no <> COALESCE((SELECT MAX(no) FROM audit_pruned), 0) + 1 OR NEW.seq <> COALESCE((SELECT MAX(seq) FROM audit_pruned), 0) + NEW.count
        OR NOT EXISTS (SELECT 1 FROM audit_log WHERE seq = NEW.seq AND hash = NEW.hash) THEN
        RAISE EXCEPTION 'audit_pruned names the next rows of audit_log';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER audit_pruned_in_order BEFORE INSERT ON audit_pruned
    FOR EACH ROW EXECUTE FUNCTION audit_pruned_order();
CREATE TRIGGER audit_pruned_no_change BEFORE UPDATE OR DELETE ON audit_pruned
    FOR EACH ROW EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER audit_pruned_no_truncate BEFORE TRUNCATE ON audit_pruned EXECUTE FUNCTION audit_append_only();
