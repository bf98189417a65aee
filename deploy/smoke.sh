#!/usr/bin/env bash
# Tries the system that `docker compose up --build --wait` has started: one order of each kind to its end, what
# the four services then hold, the management UI, and that nobody may do what is not theirs.
# Needs curl, jq and docker compose. Ends with 1 if anything is not as it must be.
set -euo pipefail
cd "$(dirname "$0")/.."

order=http://127.0.0.1:8080/v1 payment=http://127.0.0.1:8081/v1
inventory=http://127.0.0.1:8082/v1 shipping=http://127.0.0.1:8083/v1
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

get() { curl -fsS --max-time 10 "$@"; }
send() { get -H 'Content-Type: application/json' "$@"; } # METHOD and data are curl's -X and -d

# place PRODUCT METHOD POSTAL_CODE: places an order of two pieces for 19.99 each and prints its id.
place() {
  jq -n --arg product "$1" --arg method "$2" --arg postal "$3" '{
    customer_id: "smoke", currency: "EUR", payment_method: $method,
    items: [{product_id: $product, quantity: 2, unit_price: "19.99"}],
    shipping_address: {name: "Ada Lovelace", line1: "1 Main Street", city: "Berlin", postal_code: $postal, country: "DE"}
  }' | send -X POST -d @- "$order/orders" | jq -r .order_id
}

# ended ID: waits for the order's end, for a minute at most, and prints what it came to.
ended() {
  local state deadline=$((SECONDS + 60))
  while
    state=$(get "$order/orders/$1" | jq -r '[.status, .cancel_reason // empty] | join(" ")')
    [[ $state != shipped* && $state != cancelled* ]] && ((SECONDS < deadline))
  do sleep 0.2; done
  echo "$state"
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

sql() { # ROLE STATEMENT
  docker compose exec -T postgres psql -Atq -v ON_ERROR_STOP=1 -c "$2" \
    "host=127.0.0.1 dbname=orderflow user=$1 password=$(jq -r ".${1^^}_PASSWORD" <<<"$passwords")"
}

passwords=$(docker compose config --format json | jq .services.postgres.environment)
operator=$(jq -r .OPERATOR_PASSWORD <<<"$passwords")

send -X PUT -d '{"on_hand": 100}' "$inventory/stock/full-$run" >/dev/null
send -X PUT -d '{"on_hand": 1}' "$inventory/stock/scarce-$run" >/dev/null

declare -A orders=(
  [works]=$(place "full-$run" pm_ok 10115)
  [flaky gateway]=$(place "full-$run" pm_flaky 10115)
  [slow gateway]=$(place "full-$run" pm_slow 10115)
  [declined card]=$(place "full-$run" pm_declined 10115)
  [too little stock]=$(place "scarce-$run" pm_ok 10115)
  [unknown product]=$(place "unknown-$run" pm_ok 10115)
  [no such address]=$(place "full-$run" pm_ok UNDELIVERABLE)
  [called off]=$(place "full-$run" pm_slow 10115)
)
send -X POST "$order/orders/${orders[called off]}/cancel" >/dev/null

expect 'works' 'shipped' "$(ended "${orders[works]}")"
expect 'flaky gateway' 'shipped' "$(ended "${orders[flaky gateway]}")"
expect 'slow gateway' 'shipped' "$(ended "${orders[slow gateway]}")"
expect 'declined card' 'cancelled payment_failed' "$(ended "${orders[declined card]}")"
expect 'too little stock' 'cancelled out_of_stock' "$(ended "${orders[too little stock]}")"
expect 'unknown product' 'cancelled unknown_product' "$(ended "${orders[unknown product]}")"
expect 'no such address' 'cancelled shipment_failed' "$(ended "${orders[no such address]}")"
expect 'called off' 'cancelled customer_request' "$(ended "${orders[called off]}")"

expect 'payment of what works' 'charged 39.98' \
  "$(get "$payment/payments?order_id=${orders[works]}" | jq -r '.payments[] | "\(.status) \(.amount)"')"
expect 'payment of what has no stock' 'refunded 39.98' \
  "$(get "$payment/payments?order_id=${orders[too little stock]}" | jq -r '.payments[] | "\(.status) \(.refunded_amount)"')"
expect 'reservation of what works' 'shipped' \
  "$(get "$inventory/reservations?order_id=${orders[works]}" | jq -r '.reservations[].status')"
expect 'parcel of what works' 'created' \
  "$(get "$shipping/shipments?order_id=${orders[works]}" | jq -r '.shipments[].status')"
expect 'stock after three parcels of two' '94 0 6' \
  "$(get "$inventory/stock/full-$run" | jq -r '"\(.on_hand) \(.reserved) \(.shipped)"')"

ui=http://127.0.0.1:15672
expect 'management UI' 'RabbitMQ Management' "$(get $ui/ | grep -o '<title>.*</title>' | sed 's/<[^>]*>//g')"
expect 'dead letters, says the management API' '0' \
  "$(get -u "operator:$operator" "$ui/api/queues/orderflow" | jq '[.[] | select(.name | endswith(".dlq")) | .messages] | add')"
refused 'guest at the broker' 401 get -u guest:guest $ui/api/whoami

refused "payment declares a queue" ACCESS_REFUSED docker compose run --rm -T -e RETRY_DELAYS=1s,7s payment topology
refused "payment reads inventory's dead letters" ACCESS_REFUSED \
  docker compose run --rm -T payment dlq show inventory.payment-processed
refused "payment reads inventory's tables" 'permission denied' \
  sql payment 'SELECT count(*) FROM inventory.reservations'
refused 'operator changes a table' 'permission denied' sql operator 'DELETE FROM payment.payments'
expect 'operator reads all tables' 't' "$(sql operator \
  'SELECT (SELECT count(*) FROM orders.orders) > 0 AND (SELECT count(*) FROM payment.payments) > 0')"

((failures == 0)) || { echo "$failures not as they must be"; exit 1; }
