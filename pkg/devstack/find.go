package devstack

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// places are where to look for the servers: patterns of directories.
type places struct {
	postgres, rabbitmq []string
}

// usualPlaces are those of Debian and Ubuntu, Fedora, Homebrew, and the search path.
func usualPlaces() places {
	path := filepath.SplitList(os.Getenv("PATH"))
	var brew, brewPostgres, brewRabbit []string
	for _, prefix := range []string{"/opt/homebrew", "/usr/local", "/home/linuxbrew/.linuxbrew"} {
		brew = append(brew, prefix+"/bin", prefix+"/sbin")
		brewPostgres = append(brewPostgres, prefix+"/opt/postgresql*/bin")
		brewRabbit = append(brewRabbit, prefix+"/opt/rabbitmq/sbin")
	}
	return places{
		postgres: slices.Concat(
			[]string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/bin", "/usr/sbin"}, brewPostgres, brew, path),
		rabbitmq: slices.Concat(
			[]string{"/usr/lib/rabbitmq/bin", "/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin", "/usr/lib64/rabbitmq/lib/rabbitmq_server-*/sbin"},
			brewRabbit, []string{"/usr/bin", "/usr/sbin"}, brew, path),
	}
}

// binaries are the programs of both servers.
type binaries struct {
	postgres []postgresVersion // the newest first
	rabbitmq string            // path of rabbitmq-server
}

// postgresVersion is one installed Postgres.
type postgresVersion struct {
	dir   string // holds postgres and initdb
	major int
}

// MissingError says that the machine lacks programs.
type MissingError struct {
	Programs []string // what is missing: "postgres", "initdb", "rabbitmq-server"
	Command  string   // installs it on this system; empty where no known package manager is found
}

func (e *MissingError) Error() string {
	what := "not found on this machine: " + strings.Join(e.Programs, ", ")
	if e.Command == "" {
		return what + "; install PostgreSQL and RabbitMQ, or put them on the PATH"
	}
	return what + "; install with: " + e.Command
}

// find looks for the programs of both servers and returns a *MissingError if one isn't there.
func find(p places) (binaries, error) {
	found := binaries{postgres: findPostgres(p.postgres), rabbitmq: findRabbitMQ(p.rabbitmq)}
	var missing []string
	if len(found.postgres) == 0 {
		missing = append(missing, "postgres", "initdb")
	}
	if found.rabbitmq == "" {
		missing = append(missing, "rabbitmq-server")
	}
	if missing != nil {
		return binaries{}, &MissingError{Programs: missing, Command: installCommand(missing)}
	}
	return found, nil
}

func findPostgres(patterns []string) []postgresVersion {
	var found []postgresVersion
	for _, dir := range directories(patterns) {
		if !executable(filepath.Join(dir, "postgres")) || !executable(filepath.Join(dir, "initdb")) {
			continue
		}
		if major := postgresMajor(filepath.Join(dir, "postgres")); major > 0 {
			found = append(found, postgresVersion{dir, major})
		}
	}
	slices.SortStableFunc(found, func(a, b postgresVersion) int { return cmp.Compare(b.major, a.major) })
	return found
}

var versionOutput = regexp.MustCompile(`^postgres \(PostgreSQL\) (\d+)`)

// postgresMajor asks the program for its version; 0 if it doesn't tell.
func postgresMajor(path string) int {
	out, err := exec.Command(path, "--version").Output()
	m := versionOutput.FindSubmatch(out)
	if err != nil || m == nil {
		return 0
	}
	major, _ := strconv.Atoi(string(m[1]))
	return major
}

func findRabbitMQ(patterns []string) string {
	for _, dir := range directories(patterns) {
		path := filepath.Join(dir, "rabbitmq-server")
		if executable(path) && !isWrapper(path) {
			return path
		}
	}
	return ""
}

// isWrapper recognises the script that Debian and Fedora put on the PATH, which insists on the system's own user and
// data: it is called so, and unlike the server's own script it need not stand beside rabbitmq-env.
func isWrapper(path string) bool {
	target, err := filepath.EvalSymlinks(path)
	if err != nil || strings.HasSuffix(target, "wrapper") {
		return true
	}
	_, err = os.Stat(filepath.Join(filepath.Dir(target), "rabbitmq-env"))
	return err != nil
}

// directories expands the patterns and keeps their order; of one pattern's matches, the highest comes first.
func directories(patterns []string) []string {
	var dirs []string
	for _, pattern := range patterns {
		matches, _ := filepath.Glob(pattern)
		slices.SortFunc(matches, func(a, b string) int { return strings.Compare(b, a) })
		dirs = append(dirs, matches...)
	}
	return dirs
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// packageManagers in the order in which they are looked for: Homebrew last, since it is an addition on Linux.
var packageManagers = []struct {
	program, install   string
	root               bool // needs root
	postgres, rabbitmq string
}{
	{"apt-get", "apt-get install -y", true, "postgresql", "rabbitmq-server"},
	{"dnf", "dnf install -y", true, "postgresql-server", "rabbitmq-server"},
	{"brew", "brew install", false, "postgresql@17", "rabbitmq"},
}

// installCommand installs the missing programs on this system.
func installCommand(missing []string) string {
	for _, m := range packageManagers {
		if _, err := exec.LookPath(m.program); err != nil {
			continue
		}
		words := []string{m.install}
		if m.root && os.Geteuid() != 0 {
			words = []string{"sudo", m.install}
		}
		if slices.Contains(missing, "postgres") {
			words = append(words, m.postgres)
		}
		if slices.Contains(missing, "rabbitmq-server") {
			words = append(words, m.rabbitmq)
		}
		return strings.Join(words, " ")
	}
	return ""
}
