-- +goose Up
-- What has been written about money is never changed.

-- +goose StatementBegin
CREATE TRIGGER credit_transfer_no_update BEFORE UPDATE ON credit_transfer BEGIN
    SELECT RAISE(ABORT, 'credit_transfer is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER credit_transfer_no_delete BEFORE DELETE ON credit_transfer BEGIN
    SELECT RAISE(ABORT, 'credit_transfer is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER credit_batch_no_update BEFORE UPDATE ON credit_batch BEGIN
    SELECT RAISE(ABORT, 'credit_batch is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER credit_batch_no_delete BEFORE DELETE ON credit_batch BEGIN
    SELECT RAISE(ABORT, 'credit_batch is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER credit_uncollected_no_update BEFORE UPDATE ON credit_uncollected BEGIN
    SELECT RAISE(ABORT, 'credit_uncollected is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER credit_uncollected_no_delete BEFORE DELETE ON credit_uncollected BEGIN
    SELECT RAISE(ABORT, 'credit_uncollected is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER credit_root_no_update BEFORE UPDATE ON credit_root BEGIN
    SELECT RAISE(ABORT, 'credit_root is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER credit_root_no_delete BEFORE DELETE ON credit_root BEGIN
    SELECT RAISE(ABORT, 'credit_root is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER credit_root_key_no_update BEFORE UPDATE OF no, id, public, signature, at ON credit_root_key BEGIN
    SELECT RAISE(ABORT, 'credit_root_key is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER credit_root_key_no_delete BEFORE DELETE ON credit_root_key BEGIN
    SELECT RAISE(ABORT, 'credit_root_key is append-only');
END;
-- +goose StatementEnd
