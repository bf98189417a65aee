package postgres

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Away tells whether err is Postgres's way to say: not now, not here, or not like this until somebody mends the
// installation. The codes are those of the manual's appendix A.
func Away(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	if errors.As(err, &connect) || pgconn.SafeToRetry(err) || errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) {
		return true // there is no connection, or it broke off
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return strings.Contains(err.Error(), "conn closed") || strings.Contains(err.Error(), "closed pool")
	}
	return ofClass(pg,
		"08",                         // connection exception
		"25006",                      // read only: a standby, after a failover
		"28",                         // authorization
		"3D", "3F", "42501", "42P01", // no database, schema, permission, table: the installation
		"40",    // serialization failure, deadlock
		"53",    // out of disk, memory, connections
		"55P03", // lock not available
		"57",    // cancelled, shutting down, starting up
		"58",    // I/O error
		"XX",    // internal error
	)
}

// Lost tells whether err is a connection that could not be made or broke, or a server that is full, going or coming: what a
// program that starts may wait out. Missing rights are none of it.
func Lost(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return Away(err)
	}
	return ofClass(pg, "08", "25006", "40", "53", "55P03", "57", "58",
		"25P03", // the transaction was idle for too long: this process was stopped
		"XX000", // "tuple concurrently updated": another process changes the same table
	)
}

// Contended tells whether err is the end of a wait for a lock: what holds it may concern but a part of what the transaction was about.
func Contended(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && ofClass(pg, "40P01", "55P03")
}

func ofClass(err *pgconn.PgError, classes ...string) bool {
	return slices.ContainsFunc(classes, func(class string) bool { return strings.HasPrefix(err.Code, class) })
}
