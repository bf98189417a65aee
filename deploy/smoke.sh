#!/usr/bin/env bash
# Tries the system that `docker compose up --build --wait` has started: one order of each kind to its end, what
# the four services then hold, a restart of everything with orders under way, dead letters of every queue there
# and back, the management UI, and that nobody may do what is not theirs.
# Needs curl, jq and docker compose. Leaves orders, and no dead letters. Ends with 1 if anything is not as it must be.
set -euo pipefail
cd "$(dirname "$0")/.."

api=http://127.0.0.1:8080/v1 ui=http://127.0.0.1:15672
services=(order payment inventory shipping)
patience=60 # seconds to wait for whatever has to come about
run=$(date +%s) # makes the products of each run new ones
failures=0

expect() { # WHAT WANT GOT
  if [[ $2 == "$3" ]]; then
    echo "ok    $1: $3"
  else
    echo "WRONG $1: got '$3', want '$2'"
    failures=$((failures + 1))
  fi
}

# becomes WHAT WANT COMMAND...: expects COMMAND to print WANT, if not now then soon.
becomes() {
  local what=$1 want=$2 got deadline=$((SECONDS + patience))
  shift 2
  until got=$("$@" 2>&1) && [[ $got == "$want" ]] || ((SECONDS > deadline)); do sleep 0.2; done
  [[ $got == "$want" ]] || patience=5 # what is lost is not waited for again and again
  expect "$what" "$want" "$got"
}

# refused WHAT PATTERN COMMAND...: expects COMMAND to fail and to say why.
refused() {
  local what=$1 pattern=$2 said
  shift 2
  if said=$("$@" 2>&1); then
    expect "$what" refused allowed
  elif [[ $said =~ $pattern ]]; then
    expect "$what" refused refused
  else
    expect "$what" refused "$said"
  fi
}

get() { curl -fsS --max-time 10 "$@"; }
send() { get -H 'Content-Type: application/json' "$@"; } # METHOD and data are curl's -X and -d
manage() { send -u "operator:$(password operator)" "$@"; }
as() { docker compose --progress quiet run --rm -T --no-deps "$@"; } # SERVICE COMMAND...
password() { jq -r ".${1^^}_PASSWORD" <<<"$passwords"; }
passwords=$(docker compose config --format json | jq .services.postgres.environment)

sql() { # ROLE STATEMENT
  docker compose exec -T postgres psql -Atq -v ON_ERROR_STOP=1 -c "$2" \
    "host=127.0.0.1 dbname=orderflow user=$1 password=$(password "$1")"
}

# place PRODUCT METHOD POSTAL_CODE: places an order of two pieces for 19.99 each and prints its id.
place() {
  jq -n --arg product "$1" --arg method "$2" --arg postal "$3" '{
    customer_id: "smoke", currency: "EUR", payment_method: $method,
    items: [{product_id: $product, quantity: 2, unit_price: "19.99"}],
    shipping_address: {name: "Ada Lovelace", line1: "1 Main Street", city: "Berlin", postal_code: $postal, country: "DE"}
  }' | send -X POST -d @- $api/orders | jq -r .order_id
}

order() { get "$api/orders/$1" | jq -r '[.status, .cancel_reason // empty] | join(" ")'; }
payment() { get "$api/payments?order_id=$1" | jq -r '.payments[] | "\(.status) \(.amount) \(.refunded_amount)"'; }
reservation() { get "$api/reservations?order_id=$1" | jq -r '.reservations[].status'; }
parcel() { get "$api/shipments?order_id=$1" | jq -r '.shipments[].status'; }
queues() { manage $ui/api/queues/orderflow | jq length; }
stock() { get "$api/stock/$1" | jq -r '"\(.on_hand) \(.reserved) \(.shipped)"'; }

echo '# an order of each kind'
send -X PUT -d '{"on_hand": 100}' "$api/stock/full-$run" >/dev/null
send -X PUT -d '{"on_hand": 1}' "$api/stock/scarce-$run" >/dev/null

works=$(place "full-$run" pm_ok 10115)
flaky=$(place "full-$run" pm_flaky 10115)
slow=$(place "full-$run" pm_slow 10115)
declined=$(place "full-$run" pm_declined 10115)
scarce=$(place "scarce-$run" pm_ok 10115)
unknown=$(place "unknown-$run" pm_ok 10115)
undeliverable=$(place "full-$run" pm_ok UNDELIVERABLE)
called_off=$(place "full-$run" pm_slow 10115)
send -X POST "$api/orders/$called_off/cancel" >/dev/null

becomes 'works' 'shipped' order "$works"
becomes 'flaky gateway, by way of the delay queues' 'shipped' order "$flaky"
becomes 'slow gateway' 'shipped' order "$slow"
becomes 'declined card' 'cancelled payment_failed' order "$declined"
becomes 'too little stock' 'cancelled out_of_stock' order "$scarce"
becomes 'unknown product' 'cancelled unknown_product' order "$unknown"
becomes 'no such address' 'cancelled shipment_failed' order "$undeliverable"
becomes 'called off' 'cancelled customer_request' order "$called_off"

echo '# what the services hold of them'
expect 'payment of what works' 'charged 39.98 0.00' "$(payment "$works")"
expect 'payment of what was declined' 'failed 39.98 0.00' "$(payment "$declined")"
expect 'payment of what has no stock' 'refunded 39.98 39.98' "$(payment "$scarce")"
expect 'payment of what was called off' 'refunded 39.98 39.98' "$(payment "$called_off")"
becomes 'reservation of what works' 'shipped' reservation "$works"
expect 'reservation of what cannot be delivered' 'released' "$(reservation "$undeliverable")"
expect 'parcel of what works' 'created' "$(parcel "$works")"
becomes 'stock after three parcels of two' '94 0 6' stock "full-$run"

echo '# restarts with orders under way'
send -X PUT -d '{"on_hand": 100}' "$api/stock/restarts-$run" >/dev/null
under_way=()
for method in pm_slow pm_ok pm_flaky pm_slow; do under_way+=("$(place "restarts-$run" $method 10115)"); done
docker compose restart postgres rabbitmq >/dev/null 2>&1
for id in "${under_way[@]}"; do
  becomes 'under way when RabbitMQ and Postgres were restarted' 'shipped' order "$id"
  expect '  its payment' 'charged 39.98 0.00' "$(payment "$id")"
done
becomes 'stock after four parcels of two' '92 0 8' stock "restarts-$run"
last=$(place "restarts-$run" pm_slow 10115)
# A partition of an inbox that is long out of date: each service has to find out that no dead letter needs it, and to drop it.
declare -A schemas=([order]=orders [payment]=payment [inventory]=inventory [shipping]=shipping)
for role in "${services[@]}"; do
  sql "$role" "SET search_path = ${schemas[$role]};
    CREATE TABLE inbox_20200101 (LIKE inbox INCLUDING ALL);
    ALTER TABLE inbox ATTACH PARTITION inbox_20200101
      FOR VALUES FROM ('016f5e66-e800-0000-0000-000000000000') TO ('016f638d-4400-0000-0000-000000000000')"
done
docker compose restart "${services[@]}" >/dev/null 2>&1
becomes 'under way when the services were restarted' 'shipped' order "$last"
for role in "${services[@]}"; do
  becomes "outdated partition of $role" 'dropped' sql "$role" \
    "SELECT CASE WHEN to_regclass('${schemas[$role]}.inbox_20200101') IS NULL THEN 'dropped' ELSE 'there' END"
done

echo '# dead letters'
dlq() { as topology dlq "$@"; }
letters() { dlq list --json | jq -c '[.queues[].reasons | to_entries[] | "\(.key) \(.value)"] | group_by(.) | map("\(length) × \(.[0])")'; }
mapfile -t queues < <(dlq list --json | jq -r '.queues[].queue')
expect 'nothing has died' '[]' "$(letters)"
for queue in "${queues[@]}"; do
  manage -d "{\"properties\": {}, \"routing_key\": \"$queue\", \"payload\": \"{}\", \"payload_encoding\": \"string\"}" \
    $ui/api/exchanges/orderflow/amq.default/publish >/dev/null
done
buried="[\"${#queues[@]} × invalid_message 1\"]"
becomes 'each queue buries what it cannot read' "$buried" letters
expect 'replayed' "${#queues[@]}" "$(dlq replay --yes --json "${queues[@]}" | jq .replayed)"
becomes 'each is buried again' "$buried" letters
for queue in "${queues[@]}"; do
  expect "  replays that $queue knows of" '1' "$(dlq show --json "$queue" | jq '.messages[].replays')"
  manage -X DELETE "$ui/api/queues/orderflow/$queue.dlq/contents"
done
expect 'replays in the history' "${#queues[@]}" "$(dlq history --json | jq '[.runs[].messages] | add')"

echo '# where an order is, and what was lost'
wrong() { as topology doctor --json | jq -c '[.findings[] | select(.status == "wrong" or .status == "not known") | "\(.check): \(.seen)"]'; }
becomes 'the doctor finds nothing wrong' '[]' wrong
docker compose stop inventory >/dev/null 2>&1
lost=$(place "full-$run" pm_ok 10115)
becomes 'an order that nobody reserves' 'paid' order "$lost"
manage -X DELETE "$ui/api/queues/orderflow/inventory.payment-processed/contents"
docker compose start inventory >/dev/null 2>&1
docker compose up --wait --no-build inventory >/dev/null 2>&1
where() { as topology doctor order "$lost" --json | jq -r '[.waits[] | "\(.place) \(.queue)"] | join(", ")'; }
becomes 'it waits for what was lost' 'lost inventory.payment-processed' where
refused 'operator nudges' 'may not insert' as topology nudge "$lost"
expect 'nudged' 1 "$(as nudge nudge "$lost" --json | jq ".nudged | length")"
becomes 'and it goes on' 'shipped' order "$lost"

echo '# addresses and rights'
expect 'reached from outside' '127.0.0.1:15672 127.0.0.1:8080' "$(docker compose ps --format json |
  jq -rs '[.[] | if type == "array" then .[] else . end | .Publishers[]? | select(.PublishedPort > 0) | "\(.URL):\(.PublishedPort)"] | sort | join(" ")')"
expect 'management UI' 'RabbitMQ Management' "$(get $ui/ | grep -o '<title>.*</title>' | sed 's/<[^>]*>//g')"
becomes 'queues in the management UI' "$((2 * ${#queues[@]} + 4))" queues
refused 'guest at the broker' 401 get -u guest:guest $ui/api/whoami
refused 'payment at the management UI' 401 get -u "payment:$(password payment)" $ui/api/whoami
refused 'payment declares a queue' ACCESS_REFUSED as -e RETRY_DELAYS=1s,7s payment topology
refused "payment reads inventory's dead letters" ACCESS_REFUSED as payment dlq show inventory.payment-processed
refused "payment reads inventory's tables" 'permission denied' sql payment 'SELECT count(*) FROM inventory.reservations'
refused 'operator changes a table' 'permission denied' sql operator 'DELETE FROM payment.payments'
refused 'nudge changes a table' 'permission denied' sql nudge 'UPDATE payment.payments SET status = status'
expect 'operator reads all tables' 't' "$(sql operator \
  'SELECT (SELECT count(*) FROM orders.orders) > 0 AND (SELECT count(*) FROM payment.payments) > 0')"

((failures == 0)) || { echo "$failures not as they must be"; exit 1; }
