#!/bin/sh
# Makes sure that Docker has the images compose.yaml and the tests ask for: rabbitmq:4-management,
# postgres:17 and golang:1.26. What is there is kept, what is missing is pulled, and where no registry
# answers it is built here from Debian packages and the local Go: three small images on one layer,
# under the official names, that know as much of the official images' ways as this project uses.
#
#   deploy/local-images.sh            build only what cannot be pulled
#   deploy/local-images.sh --build    build all three, whatever is there
#
# Building needs root, mmdebstrap and a Debian mirror. To be rid of the result:
# docker image rm rabbitmq:4-management postgres:17 golang:1.26 orderflow-local-base
set -eu

suite=trixie # the first Debian with RabbitMQ 4 and Postgres 17

have() { docker image inspect "$1" >/dev/null 2>&1 || docker pull -q "$1" >/dev/null 2>&1; }

missing=
for image in rabbitmq:4-management postgres:17 golang:1.26; do
  if [ "${1-}" = --build ] || ! have "$image"; then missing="$missing $image"; fi
done
[ -n "$missing" ] || exit 0

echo "building$missing from Debian $suite: neither here nor to be pulled"
# shellcheck disable=SC2016 # apt-get fills this in, not the shell
mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -m1 -E '/debian/?$') ||
  { echo "no Debian mirror among this machine's apt sources" >&2; exit 1; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# One root with the packages of all three and this machine's certificates, imported once.
certificates=/etc/ssl/certs/ca-certificates.crt
mmdebstrap --quiet --variant=minbase --include=rabbitmq-server,postgresql-17,ca-certificates \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' \
  --customize-hook="upload $certificates $certificates" "$suite" - "$mirror" |
  docker import - orderflow-local-base >/dev/null

# image NAME CONTEXT: builds NAME from the Dockerfile on standard input, with files of CONTEXT to copy from.
image() {
  cat >"$dir/Dockerfile"
  docker build -t "$1" -f "$dir/Dockerfile" "$2" >"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }
  echo "built $1"
}

rabbitmq() {
  mkdir "$dir/rabbitmq"
  # As in the official image: the log goes to the console, and guest may come from outside.
  printf '%s\n' 'loopback_users = none' 'log.console = true' >"$dir/rabbitmq/10-container.conf"
  echo '[rabbitmq_management,rabbitmq_prometheus].' >"$dir/rabbitmq/enabled_plugins"
  image rabbitmq:4-management "$dir/rabbitmq" <<'DOCKERFILE'
FROM orderflow-local-base
COPY 10-container.conf /etc/rabbitmq/conf.d/
COPY enabled_plugins /etc/rabbitmq/
RUN install -d -o rabbitmq -g rabbitmq /var/lib/rabbitmq /etc/rabbitmq
ENV PATH=/usr/lib/rabbitmq/bin:$PATH HOME=/var/lib/rabbitmq RABBITMQ_LOGS=-
VOLUME /var/lib/rabbitmq
EXPOSE 5672 15672 15692
USER rabbitmq
CMD ["rabbitmq-server"]
DOCKERFILE
}

postgres() {
  mkdir "$dir/postgres"
  # The first start makes the cluster, runs the scripts of /docker-entrypoint-initdb.d, and stops again.
  cat >"$dir/postgres/entrypoint" <<'ENTRYPOINT'
#!/bin/sh
set -eu
[ "$1" = postgres ] || exec "$@"
: "${POSTGRES_USER:=postgres}" "${POSTGRES_PASSWORD:?must be set}"
: "${POSTGRES_DB:=$POSTGRES_USER}"
export POSTGRES_USER POSTGRES_DB
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  password=$(mktemp)
  printf %s "$POSTGRES_PASSWORD" >"$password"
  initdb -U "$POSTGRES_USER" --pwfile="$password" -E UTF8 --locale=C.UTF-8 --auth-local=trust >/dev/null
  rm "$password"
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
  pg_ctl -w start -o "-c listen_addresses=''"
  run() { psql -q -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$@"; }
  [ "$POSTGRES_DB" = postgres ] || run postgres -c "CREATE DATABASE \"$POSTGRES_DB\""
  for script in /docker-entrypoint-initdb.d/*; do
    case $script in
    *.sql) run "$POSTGRES_DB" -f "$script" ;;
    *.sh) sh "$script" ;;
    esac
  done
  pg_ctl -w -m fast stop
fi
exec "$@" -c listen_addresses='*'
ENTRYPOINT
  chmod 755 "$dir/postgres/entrypoint"
  image postgres:17 "$dir/postgres" <<'DOCKERFILE'
FROM orderflow-local-base
COPY entrypoint /usr/local/bin/
RUN install -d -o postgres -g postgres /var/lib/postgresql/data /run/postgresql
ENV PATH=/usr/lib/postgresql/17/bin:$PATH PGDATA=/var/lib/postgresql/data
VOLUME /var/lib/postgresql/data
EXPOSE 5432
USER postgres
STOPSIGNAL SIGINT
ENTRYPOINT ["entrypoint"]
CMD ["postgres"]
DOCKERFILE
}

golang() {
  image golang:1.26 "$(go env GOROOT)" <<DOCKERFILE
FROM orderflow-local-base
COPY . /usr/local/go
ENV PATH=/usr/local/go/bin:\$PATH GOPATH=/go GOTOOLCHAIN=local
# This machine's module settings hold in a build, too.
ENV GOPROXY=$(go env GOPROXY) GOSUMDB=$(go env GOSUMDB)
WORKDIR /go
DOCKERFILE
}

for image in $missing; do
  case $image in
  rabbitmq:*) rabbitmq ;;
  postgres:*) postgres ;;
  golang:*) golang ;;
  esac
done
