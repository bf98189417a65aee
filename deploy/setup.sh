#!/bin/sh
# Makes sure that this machine has what orderflow runs on, and is silent when it has.
#
#   deploy/setup.sh up      the programs of RabbitMQ and Postgres
#   deploy/setup.sh test    the same, as pkg/devstack is tested with them, Node.js for services/listener, and the
#                           servers' images where a Docker engine answers; ORDERFLOW_TEST_SERVERS, which tells the
#                           tests what to use, counts here, too
#
# What is missing is installed with the system's package manager: packages only, as no service is left running
# or enabled. orderflow starts private servers from them and stops them again.
set -eu

say() { printf 'setup: %s\n' "$*" >&2; }

# any PATH...: true if one of them is an executable file.
any() {
  for file; do [ -f "$file" ] && [ -x "$file" ] && return; done
  return 1
}

# The places where pkg/devstack looks.
has_postgres() {
  command -v initdb >/dev/null || any /usr/lib/postgresql/*/bin/initdb /usr/pgsql-*/bin/initdb \
    /opt/homebrew/opt/postgresql*/bin/initdb /usr/local/opt/postgresql*/bin/initdb \
    /home/linuxbrew/.linuxbrew/opt/postgresql*/bin/initdb
}

has_rabbitmq() {
  command -v rabbitmq-server >/dev/null || any /usr/sbin/rabbitmq-server /usr/lib/rabbitmq/bin/rabbitmq-server \
    /opt/homebrew/sbin/rabbitmq-server /usr/local/sbin/rabbitmq-server /home/linuxbrew/.linuxbrew/sbin/rabbitmq-server
}

# Only the tests need it.
has_node() { [ "$purpose" = up ] || { command -v node >/dev/null && command -v npm >/dev/null; }; }

has_prometheus() { [ "$purpose" = up ] || { command -v prometheus >/dev/null && command -v promtool >/dev/null; }; }

has_docker() {
  command -v docker >/dev/null && docker version >/dev/null 2>&1 || return 1
  for image in rabbitmq:4-management postgres:17; do
    docker image inspect "$image" >/dev/null 2>&1 && continue
    say "pulling $image, which the tests run on"
    docker pull -q "$image" >/dev/null || return 1
  done
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

may_be_root() { [ "$(id -u)" = 0 ] || { command -v sudo >/dev/null && sudo -v; }; }

# quietly COMMAND...: shows what it said only if it fails.
quietly() { "$@" >"$log" 2>&1 || { cat "$log" >&2 && return 1; }; }

# give_up ADVICE: with containers, nearly all tests can be run all the same.
give_up() {
  say "cannot install $missing from here. $1"
  [ -n "$containers" ] || exit 1
  say "going on with containers; the tests of pkg/devstack will fail"
  exit 0
}

# Debian and Ubuntu start a server when they install it, and again at every boot. Nobody asked for that here.
apt_install() {
  may_be_root || give_up "Please type, as root: apt-get install $*"
  policy=/usr/sbin/policy-rc.d
  if [ ! -e $policy ]; then # an administrator's own policy stands
    trap 'as_root rm -f $policy; rm -f "$log"' EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
    as_root chmod 755 $policy
  fi
  quietly as_root apt-get update || say "going on with the package lists that are here"
  quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" || give_up "Please type, as root: apt-get install $*"
  [ -d /run/systemd/system ] || return 0
  for unit in $units; do as_root systemctl disable --now --quiet "$unit" || say "could not disable $unit"; done
}

servers=${ORDERFLOW_TEST_SERVERS-} purpose=${1-}
case $purpose in
up) servers=processes ;;
test) ;;
*)
  echo "usage: $0 up|test" >&2
  exit 2
  ;;
esac
containers=
if [ "$servers" != processes ] && has_docker; then containers=yes; fi
if [ "$servers" = containers ] && [ -z "$containers" ]; then
  say "no Docker engine answers, or it cannot get the images"
  exit 1
fi
if has_postgres && has_rabbitmq && has_node && has_prometheus; then exit 0; fi

# missing: for people; units: what installing would set running; the rest: package names, by package manager.
missing='' units='' apt='' dnf='' brew=''
if ! has_rabbitmq; then
  missing="RabbitMQ" units='rabbitmq-server.service' apt='rabbitmq-server' dnf='rabbitmq-server' brew='rabbitmq'
  command -v epmd >/dev/null || units="$units epmd.socket epmd.service"
fi
if ! has_postgres; then
  missing="${missing:+$missing and }PostgreSQL" units="$units postgresql.service"
  apt="$apt postgresql" dnf="$dnf postgresql-server" brew="$brew postgresql@17"
fi
if ! has_node; then
  missing="${missing:+$missing and }Node.js"
  apt="$apt nodejs npm" dnf="$dnf nodejs npm" brew="$brew node"
fi
if ! has_prometheus; then
  missing="${missing:+$missing and }Prometheus" units="$units prometheus.service"
  apt="$apt prometheus" dnf="$dnf golang-github-prometheus" brew="$brew prometheus"
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT TERM
say "installing $missing; no system service is left running"
# shellcheck disable=SC2086 # lists of packages
if command -v apt-get >/dev/null; then
  apt_install $apt
elif command -v dnf >/dev/null; then # leaves services off by itself
  may_be_root || give_up "Please type, as root: dnf install $dnf"
  quietly as_root dnf install -y $dnf || give_up "Please type, as root: dnf install $dnf"
elif command -v brew >/dev/null; then # leaves services off by itself
  quietly brew install $brew || give_up "Please type: brew install $brew"
else
  give_up "There is no apt-get, dnf or brew. Please install it (RabbitMQ 3.10 to 4.x, PostgreSQL 15 or newer; for the tests Node.js 18 or newer, and Prometheus 2.42 or newer)"
fi

if ! has_postgres || ! has_rabbitmq || ! has_node || ! has_prometheus; then
  say "the packages are installed, but initdb, rabbitmq-server, node or promtool is not where orderflow looks; put them on the PATH"
  exit 1
fi
