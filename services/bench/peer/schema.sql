CREATE SCHEMA peer;
SET LOCAL search_path = peer;

CREATE TABLE orders (
    order_id         uuid        PRIMARY KEY,
    customer_id      text        NOT NULL,
    currency         text        NOT NULL,
    total_amount     bigint      NOT NULL,
    items            jsonb       NOT NULL,
    payment_method   text        NOT NULL,
    shipping_address jsonb       NOT NULL,
    status           smallint    NOT NULL DEFAULT 0,
    placed_at        timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 85);

CREATE TABLE payments (
    payment_id uuid        PRIMARY KEY,
    order_id   uuid        NOT NULL UNIQUE,
    amount     bigint      NOT NULL,
    method     text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE stock (
    product_id text   PRIMARY KEY,
    available  bigint NOT NULL CHECK (available >= 0),
    reserved   bigint NOT NULL DEFAULT 0
);

CREATE TABLE reservations (
    reservation_id uuid        PRIMARY KEY,
    order_id       uuid        NOT NULL UNIQUE,
    items          jsonb       NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE shipments (
    shipment_id uuid        PRIMARY KEY,
    order_id    uuid        NOT NULL UNIQUE,
    carrier     text        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE inbox_order     (event_id uuid PRIMARY KEY, handled_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE inbox_payment   (event_id uuid PRIMARY KEY, handled_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE inbox_inventory (event_id uuid PRIMARY KEY, handled_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE inbox_shipping  (event_id uuid PRIMARY KEY, handled_at timestamptz NOT NULL DEFAULT now());
