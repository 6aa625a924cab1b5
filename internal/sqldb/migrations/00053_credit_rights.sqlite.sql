-- +goose Up
-- SQLite knows no rights; its triggers stand alone.
SELECT 1;

-- +goose Down
SELECT 1;
