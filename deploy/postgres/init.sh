#!/bin/sh
# Runs once, when the database's volume is made: a role and a schema of its own for each service, named as the
# service (schema orders: ORDER is a reserved word), `operator`, which may read everything and change nothing but the
# history of what it does with dead letters, in the schema dlq, and `nudge`, which may what operator may, and add rows.
set -eu

psql -v ON_ERROR_STOP=1 --no-psqlrc -U "${POSTGRES_USER:-postgres}" -d "$POSTGRES_DB" <<'SQL'
\set ECHO none
\getenv order ORDER_PASSWORD
\getenv payment PAYMENT_PASSWORD
\getenv inventory INVENTORY_PASSWORD
\getenv shipping SHIPPING_PASSWORD
\getenv operator OPERATOR_PASSWORD
\getenv nudge NUDGE_PASSWORD
CREATE ROLE "order" LOGIN PASSWORD :'order';
CREATE ROLE payment LOGIN PASSWORD :'payment';
CREATE ROLE inventory LOGIN PASSWORD :'inventory';
CREATE ROLE shipping LOGIN PASSWORD :'shipping';
CREATE ROLE operator LOGIN PASSWORD :'operator';

REVOKE ALL ON DATABASE :"DBNAME", postgres, template1 FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT CONNECT ON DATABASE :"DBNAME" TO "order", payment, inventory, shipping, operator;

CREATE SCHEMA orders AUTHORIZATION "order";
CREATE SCHEMA payment AUTHORIZATION payment;
CREATE SCHEMA inventory AUTHORIZATION inventory;
CREATE SCHEMA shipping AUTHORIZATION shipping;
CREATE SCHEMA dlq AUTHORIZATION operator;

-- What the server says of itself: sizes, locks, who does what.
GRANT pg_monitor TO operator;

-- The tables come later, with each service's migrations: what a service makes, operator may read.
GRANT USAGE ON SCHEMA orders, payment, inventory, shipping TO operator;
ALTER DEFAULT PRIVILEGES FOR ROLE "order" IN SCHEMA orders GRANT SELECT ON TABLES TO operator;
ALTER DEFAULT PRIVILEGES FOR ROLE payment IN SCHEMA payment GRANT SELECT ON TABLES TO operator;
ALTER DEFAULT PRIVILEGES FOR ROLE inventory IN SCHEMA inventory GRANT SELECT ON TABLES TO operator;
ALTER DEFAULT PRIVILEGES FOR ROLE shipping IN SCHEMA shipping GRANT SELECT ON TABLES TO operator;

-- nudge reads as operator does, writes the same history, and adds to the services' outboxes. A table that is yet to come cannot be named, so
-- it may add to the others too; it changes and deletes nothing anywhere. Where it is the first to write the history, operator gets all rights on that.
CREATE ROLE nudge LOGIN PASSWORD :'nudge' IN ROLE operator;
ALTER DEFAULT PRIVILEGES FOR ROLE "order" IN SCHEMA orders GRANT INSERT ON TABLES TO nudge;
ALTER DEFAULT PRIVILEGES FOR ROLE payment IN SCHEMA payment GRANT INSERT ON TABLES TO nudge;
ALTER DEFAULT PRIVILEGES FOR ROLE inventory IN SCHEMA inventory GRANT INSERT ON TABLES TO nudge;
ALTER DEFAULT PRIVILEGES FOR ROLE shipping IN SCHEMA shipping GRANT INSERT ON TABLES TO nudge;
ALTER DEFAULT PRIVILEGES FOR ROLE nudge IN SCHEMA dlq GRANT ALL ON TABLES TO operator;
SQL
