-- +goose Up
ALTER TABLE catalog_model ADD COLUMN fallbacks TEXT NOT NULL DEFAULT '[]';     -- JSON: other models that may answer, and after what
