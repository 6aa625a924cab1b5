-- +goose Up
-- What has been written about money is never changed.

-- +goose StatementBegin
CREATE FUNCTION credit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER credit_transfer_no_change BEFORE UPDATE OR DELETE ON credit_transfer
    FOR EACH ROW EXECUTE FUNCTION credit_append_only();
CREATE TRIGGER credit_transfer_no_truncate BEFORE TRUNCATE ON credit_transfer EXECUTE FUNCTION credit_append_only();
CREATE TRIGGER credit_batch_no_change BEFORE UPDATE OR DELETE ON credit_batch
    FOR EACH ROW EXECUTE FUNCTION credit_append_only();
CREATE TRIGGER credit_batch_no_truncate BEFORE TRUNCATE ON credit_batch EXECUTE FUNCTION credit_append_only();
CREATE TRIGGER credit_uncollected_no_change BEFORE UPDATE OR DELETE ON credit_uncollected
    FOR EACH ROW EXECUTE FUNCTION credit_append_only();
CREATE TRIGGER credit_uncollected_no_truncate BEFORE TRUNCATE ON credit_uncollected EXECUTE FUNCTION credit_append_only();
CREATE TRIGGER credit_root_no_change BEFORE UPDATE OR DELETE ON credit_root
    FOR EACH ROW EXECUTE FUNCTION credit_append_only();
CREATE TRIGGER credit_root_no_truncate BEFORE TRUNCATE ON credit_root EXECUTE FUNCTION credit_append_only();
CREATE TRIGGER credit_root_key_no_change BEFORE UPDATE OF no, id, public, signature, at OR DELETE ON credit_root_key
    FOR EACH ROW EXECUTE FUNCTION credit_append_only();
CREATE TRIGGER credit_root_key_no_truncate BEFORE TRUNCATE ON credit_root_key EXECUTE FUNCTION credit_append_only();
