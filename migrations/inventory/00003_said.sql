-- +goose Up

-- Which event has told of the state that a row is in, and what else is needed to say it once more: should the event be lost, orderflow nudge
-- publishes it again, with the same id. What is older has none, and cannot be nudged, unless the order's timeline knows the event.
ALTER TABLE reservations ADD COLUMN said_id uuid, ADD COLUMN reason text, ADD COLUMN missing jsonb;

-- +goose Down
ALTER TABLE reservations DROP COLUMN said_id, DROP COLUMN reason, DROP COLUMN missing;
