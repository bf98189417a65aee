-- +goose Up

-- W3C trace context of the request that placed the order, so that one to cancel it is seen in the same trace. NULL where nobody records that.
ALTER TABLE orders ADD COLUMN traceparent text;

-- +goose Down
ALTER TABLE orders DROP COLUMN traceparent;
