-- +goose Up

CREATE TABLE orders (
    order_id         uuid        PRIMARY KEY,
    customer_id      text        NOT NULL,
    currency         text        NOT NULL,
    total_amount     bigint      NOT NULL CHECK (total_amount >= 0), -- minor units
    items            jsonb       NOT NULL,
    payment_method   text        NOT NULL,
    shipping_address jsonb       NOT NULL,
    facts            int         NOT NULL DEFAULT 0,
    status           text        NOT NULL,
    cancel_reason    text,
    placed_at        timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    ended_at         timestamptz,
    version          bigint      NOT NULL DEFAULT 1
) WITH (fillfactor = 85);

-- A customer's orders, newest first: order ids are UUIDv7.
CREATE INDEX orders_customer ON orders (customer_id, order_id);
-- The few that are under way, and those that are taken back. Neither names the status, so that its changes stay cheap.
CREATE INDEX orders_open ON orders (order_id) WHERE ended_at IS NULL;
CREATE INDEX orders_cancelled ON orders (order_id) WHERE cancel_reason IS NOT NULL;

CREATE TABLE timeline (
    order_id uuid        NOT NULL,
    event_id uuid        NOT NULL,
    type     text        NOT NULL,
    source   text        NOT NULL,
    time     timestamptz NOT NULL,
    seen_at  timestamptz NOT NULL DEFAULT now(),
    detail   jsonb,
    PRIMARY KEY (order_id, event_id)
);

CREATE TABLE idempotency_keys (
    key          text        PRIMARY KEY,
    request_hash bytea       NOT NULL,
    order_id     uuid        NOT NULL,
    response     text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);

-- +goose Down
DROP TABLE idempotency_keys;
DROP TABLE timeline;
DROP TABLE orders;
