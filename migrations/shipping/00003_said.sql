-- +goose Up

-- Which event has told of the state that a row is in, and what else is needed to say it once more: should the event be lost, orderflow nudge
-- publishes it again, with the same id. What is older has none, and cannot be nudged, unless the order's timeline knows the event.
ALTER TABLE shipments ADD COLUMN said_id uuid, ADD COLUMN reason text, ADD COLUMN detail text;

-- +goose Down
ALTER TABLE shipments DROP COLUMN said_id, DROP COLUMN reason, DROP COLUMN detail;
