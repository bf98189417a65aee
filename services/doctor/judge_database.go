package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"orderflow/pkg/postgres"
)

// The databases that orderflow is for, as server_version_num has them.
const oldestPostgres = 150000

const (
	seeDatabase  = "see postgres"
	databaseAway = "Postgres does not answer"
)

func judgePostgres(f *databaseFacts) []Finding {
	c := check{name: "postgres"}
	s := f.server.value
	switch {
	case f.err != nil:
		do := "start Postgres, or correct its address in DATABASE_URL; a slow one needs a longer --timeout"
		if !postgres.Lost(f.err) {
			do = "correct DATABASE_URL, or what it names"
		}
		c.wrong(do, "%v", f.err)
	case f.server.err != nil:
		c.unknown("try again, with a longer --timeout", "it did not tell about itself: %v", f.server.err)
	case s.Number < oldestPostgres:
		c.wrong("upgrade to Postgres 15 or newer", "Postgres %s is too old", s.Version)
	}
	return c.otherwise("Postgres %s; role %q, database %q of %s", s.Version, s.Role, s.Database, bytes(s.Size))
}

// dark tells whether there is no answer about the server.
func (f *databaseFacts) dark(err error) (do, seen string, is bool) {
	switch {
	case f.err != nil:
		return seeDatabase, databaseAway, true
	case err != nil:
		return "try again, with a longer --timeout", err.Error(), true
	}
	return "", "", false
}

// judgeDurability looks for settings that lose what was committed.
func judgeDurability(f *databaseFacts) []Finding {
	c := check{name: "durability"}
	if do, seen, is := f.dark(f.server.err); is {
		return unknown(c.name, do, seen)
	}
	s := f.server.value
	for _, one := range []struct{ name, value, harm string }{
		{"fsync", s.Fsync, "a crash of the machine loses orders, or the whole database"},
		{"full_page_writes", s.FullPageWrites, "a crash of the machine may break tables"},
		{"synchronous_commit", s.SynchronousCommit, "a crash loses orders that were accepted"},
	} {
		if one.value == "off" {
			c.wrong("ALTER SYSTEM SET "+one.name+" = on; SELECT pg_reload_conf()", "%s is off: %s", one.name, one.harm)
		}
	}
	return c.otherwise("fsync, full_page_writes and synchronous_commit (%s) are on", s.SynchronousCommit)
}

func judgeWritable(f *databaseFacts) []Finding {
	c := check{name: "writable"}
	if do, seen, is := f.dark(f.server.err); is {
		return unknown(c.name, do, seen)
	}
	if f.server.value.Standby {
		c.wrong("name the primary in DATABASE_URL, or add target_session_attrs=read-write to it", "it is a standby, which takes no writes")
	}
	if f.server.value.ReadOnly == "on" {
		c.wrong(fmt.Sprintf("ALTER DATABASE %s RESET default_transaction_read_only, or the same of the role or the server", f.server.value.Database),
			"default_transaction_read_only is on")
	}
	return c.otherwise("it is a primary and takes writes")
}

// slotsLeft is how many connections should be free.
const slotsLeft = 10

// judgeConnections compares the slots with what the services may use.
func judgeConnections(f *databaseFacts, perService int) []Finding {
	c := check{name: "connections"}
	if do, seen, is := f.dark(f.server.err); is {
		return unknown(c.name, do, seen)
	}
	s := f.server.value
	usable, needed := s.MaxConnections-s.ReservedConnections, perService*len(f.schemas)
	left := usable - s.Backends
	switch {
	case needed > usable:
		c.warning("raise max_connections, or lower DB_MAX_CONNS", "one process of each service may use %d connections, and there are %d", needed, usable)
	case left < slotsLeft:
		c.warning("raise max_connections, or lower DB_MAX_CONNS", "%d of %d connections are left", max(left, 0), usable)
	}
	return c.otherwise("%d of %d connections are left; one process of each service uses up to %d", left, usable, needed)
}

// judgeTransactions looks for what keeps vacuum from its work.
func judgeTransactions(f *databaseFacts) []Finding {
	c := check{name: "transactions"}
	if do, seen, is := f.dark(f.held.err); is {
		return unknown(c.name, do, seen)
	}
	for _, t := range f.held.value {
		if t.Prepared != "" {
			c.warning(fmt.Sprintf("COMMIT PREPARED or ROLLBACK PREPARED '%s'", t.Prepared), "a prepared transaction of role %q holds vacuum back since %s",
				t.Role, t.Age.Round(time.Second))
			continue
		}
		c.warning(fmt.Sprintf("end that program, or SELECT pg_terminate_backend(%d)", t.PID), "a transaction holds vacuum back since %s: process %d, role %q, program %q, %s",
			t.Age.Round(time.Second), t.PID, t.Role, t.Program, t.State)
	}
	if !f.server.value.SeesAll && len(c.findings) == 0 {
		c.unknown(fmt.Sprintf("GRANT pg_read_all_stats TO %q", f.server.value.Role), "role %q does not see for how long others' transactions have been open", f.server.value.Role)
	}
	return c.otherwise("none has been open for %.0f minutes", longTransaction.Minutes())
}

// unseen tells of schemas that could not be looked at, and leaves them out.
func (f *databaseFacts) unseen(c *check) (seen []schema) {
	for _, s := range f.schemas {
		switch {
		case s.denied:
			c.unknown("name a role in DATABASE_URL that may read it (deploy/postgres/init.sh makes one)", "schema %s: role %q may not read it", s.name, f.server.value.Role)
		case s.err != nil:
			c.unknown("try again, with a longer --timeout", "schema %s: %v", s.name, s.err)
		default:
			seen = append(seen, s)
		}
	}
	return seen
}

func judgeMigrations(f *databaseFacts) []Finding {
	c := check{name: "migrations"}
	if do, seen, is := f.dark(nil); is {
		return unknown(c.name, do, seen)
	}
	schemas := f.unseen(&c)
	if f.history.exists && f.history.err == nil {
		schemas = append(schemas, f.history) // where there is none yet, dlq makes it
	}
	for _, s := range schemas {
		if !s.exists {
			c.wrong("orderflow migrate", "schema %s is missing", s.name)
			continue
		}
		for _, p := range s.folders {
			switch {
			case p.Applied < p.Known:
				c.wrong("orderflow migrate", "schema %s is at migration %d of %s, and this program needs %d", s.name, p.Applied, p.Folder, p.Known)
			case p.Applied > p.Known:
				c.warning("use the version of orderflow that has applied it, or a later one", "schema %s is at migration %d of %s, and this program knows them up to %d",
					s.name, p.Applied, p.Folder, p.Known)
			}
		}
	}
	return c.otherwise("all schemas are up to date")
}

// judgeDays looks for the partitions of today and tomorrow.
func judgeDays(f *databaseFacts) []Finding {
	c := check{name: "days"}
	if do, seen, is := f.dark(nil); is {
		return unknown(c.name, do, seen)
	}
	for _, s := range f.unseen(&c) {
		today := s.now.UTC().Truncate(24 * time.Hour)
		for _, table := range slices.Sorted(maps.Keys(s.days)) {
			switch found := s.days[table]; {
			case !found[today]:
				c.wrong("orderflow serve "+s.service+", which makes them at its start and every hour", "table %s.%s has no partition for today, %s: nothing can be written",
					s.name, table, today.Format(time.DateOnly))
			case !found[today.Add(24*time.Hour)]:
				c.warning("orderflow serve "+s.service+", which makes them at its start and every hour", "table %s.%s has no partition for tomorrow", s.name, table)
			}
		}
	}
	return c.otherwise("there are partitions for today and tomorrow")
}

// oldOutbox is how long an event may wait to be published before somebody should know.
const oldOutbox = 30 * time.Second

func judgeOutbox(f *databaseFacts) []Finding {
	c := check{name: "outbox"}
	if do, seen, is := f.dark(nil); is {
		return unknown(c.name, do, seen)
	}
	pending := 0
	for _, s := range f.unseen(&c) {
		pending += s.outbox.Pending
		if s.outbox.Oldest > oldOutbox {
			c.warning(fmt.Sprintf("see whether RabbitMQ takes messages, and orderflow serve %s runs; its log tells why they wait", s.service),
				"%d events of %s wait to be published, the oldest since %s", s.outbox.Pending, s.service, s.outbox.Oldest.Round(time.Second))
		}
	}
	return c.otherwise("%d events wait to be published, none longer than %s", pending, oldOutbox)
}

// judgeDatabaseRights compares what roles may do with what the services need that are connected as them, and tells what DATABASE_URL's is good for.
func judgeDatabaseRights(f *databaseFacts) []Finding {
	c := check{name: "database-rights"}
	if do, seen, is := f.dark(f.server.err); is {
		return unknown(c.name, do, seen)
	}
	role := f.server.value.Role
	var runs, reads []string
	there := 0
	for _, s := range f.schemas {
		for _, one := range f.sessions.value {
			if r, known := s.rights[one.Role]; one.Service == s.service && known && !r.runs() {
				c.wrong(grantSchema(s.name, one.Role), "service %s is connected as role %q, which lacks %s", s.service, one.Role, r.lacks())
			}
		}
		if !s.exists {
			continue
		}
		there++
		switch r := s.rights[role]; {
		case r.runs():
			runs = append(runs, s.service)
		case r.Usage && r.Read:
			reads = append(reads, s.service)
		}
	}
	if there > 0 && len(runs)+len(reads) == 0 {
		c.wrong(grantSchema("SCHEMA", role), "role %q may read the schema of no service", role)
	}
	seen := fmt.Sprintf("role %q", role)
	if len(runs) > 0 {
		seen += " may run " + strings.Join(runs, ", ")
	}
	if len(reads) > 0 {
		seen += " may read " + strings.Join(reads, ", ")
	}
	return c.otherwise("%s; the services that run have what they need", seen)
}

func (r rights) runs() bool { return r.Usage && r.Make && r.Read && r.Write }

// lacks names what is missing to run a service.
func (r rights) lacks() string {
	all := []string{}
	for name, has := range map[string]bool{"USAGE on the schema": r.Usage, "the ownership of the tables": r.Make, "SELECT": r.Read, "INSERT, UPDATE, DELETE": r.Write} {
		if !has {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func grantSchema(schema, role string) string {
	return fmt.Sprintf("GRANT USAGE, CREATE ON SCHEMA %s TO %q, and make it the owner of the tables (deploy/postgres/init.sh)", schema, role)
}
