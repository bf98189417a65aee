-- +goose Up

-- Whose order it is, for callers who see the orders of some customers only. What is older has none, and is not theirs to see.
ALTER TABLE shipments ADD COLUMN customer_id text;

-- +goose Down
ALTER TABLE shipments DROP COLUMN customer_id;
