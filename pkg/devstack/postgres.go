package devstack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"orderflow/pkg/devstack/port"
)

// identity is that of the user, the database and the vhost that the servers are created with.
const identity = "orderflow"

func (h *home) clusterDir() string { return filepath.Join(h.data, "postgres", "cluster") }

// databaseURL is the address of a database of the stack's Postgres.
func (h *home) databaseURL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(identity, h.Password), Host: port.Address(h.Ports.Postgres), Path: database}
	u.RawQuery = "sslmode=disable"
	return u.String()
}

// choosePostgres takes the installed version that made the existing data, or for new data the newest.
func choosePostgres(found []postgresVersion, cluster string) (string, error) {
	b, err := os.ReadFile(filepath.Join(cluster, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return found[0].dir, nil
	}
	if err != nil {
		return "", fmt.Errorf("version of the Postgres data: %w", err)
	}
	major := strings.TrimSpace(string(b))
	for _, v := range found {
		if strconv.Itoa(v.major) == major {
			return v.dir, nil
		}
	}
	return "", fmt.Errorf("the data in %s is of PostgreSQL %s, but installed is %d: install that version, or remove the data", cluster, major, found[0].major)
}

// initCluster creates the cluster if there is none. It is made beside its place and then moved, so that an interrupted
// attempt leaves nothing that looks like a cluster.
func (h *home) initCluster(ctx context.Context, w *watcher, bin string, scratch bool) error {
	cluster := h.clusterDir()
	if _, err := os.Stat(cluster); err == nil {
		return nil
	}
	made, password := cluster+".new", cluster+".password"
	if err := os.RemoveAll(made); err != nil {
		return fmt.Errorf("remove a cluster that was not completed: %w", err)
	}
	if err := writePrivate(password, h.Password, 0o600, h.user); err != nil {
		return err
	}
	defer os.Remove(password)
	p := h.postgresProgram(filepath.Join(bin, "initdb"), "initdb.log", "-D", made, "--username="+identity, "--pwfile="+password,
		"--auth=scram-sha-256", "--encoding=UTF8", "--no-locale")
	if scratch {
		p.args = append(p.args, "--no-sync")
	}
	if err := run(ctx, w, p); err != nil {
		return fmt.Errorf("create the Postgres cluster: %w", err)
	}
	if err := os.Rename(made, cluster); err != nil {
		return fmt.Errorf("create the Postgres cluster: %w", err)
	}
	return nil
}

// postgresServer is the program that serves the cluster.
func (h *home) postgresServer(bin string, scratch bool) program {
	settings := []string{
		"port=" + strconv.Itoa(h.Ports.Postgres), "listen_addresses=127.0.0.1", "unix_socket_directories=",
		"max_connections=200", "shared_buffers=256MB", "max_wal_size=2GB", "wal_compression=on", "log_checkpoints=off",
	}
	if scratch {
		settings = append(settings, "fsync=off", "full_page_writes=off")
	}
	args := []string{"-D", h.clusterDir()}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	return h.postgresProgram(filepath.Join(bin, "postgres"), "postgres.log", args...)
}

func (h *home) postgresProgram(path, log string, args ...string) program {
	return program{
		path: path, args: args, user: h.user,
		dir: filepath.Join(h.data, "postgres"),
		log: filepath.Join(h.logDir(), log),
		env: []string{"PATH=" + searchPath(path), "HOME=" + filepath.Join(h.data, "postgres"), "LC_ALL=C"},
		end: "QUIT", // at once; the postmaster itself sees to it that its children end
	}
}

// forgetPostmaster removes what a killed postmaster left: its pid may belong to another process by now, and a new one
// would then refuse to start. Only called when none runs.
func (h *home) forgetPostmaster() error {
	err := os.Remove(filepath.Join(h.clusterDir(), "postmaster.pid"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("stale lock of Postgres: %w", err)
	}
	return nil
}

// createDatabase creates the stack's database if it is not there.
func (h *home) createDatabase(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, h.databaseURL("postgres"))
	if err != nil {
		return fmt.Errorf("create database %s: %w", identity, err)
	}
	defer conn.Close(ctx)
	var there bool
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, identity).Scan(&there)
	if err == nil && !there {
		_, err = conn.Exec(ctx, `CREATE DATABASE `+pgx.Identifier{identity}.Sanitize())
	}
	if err != nil {
		return fmt.Errorf("create database %s: %w", identity, err)
	}
	return nil
}
