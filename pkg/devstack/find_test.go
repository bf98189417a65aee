package devstack

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestMissingProgramsAreNamed(t *testing.T) {
	empty := []string{t.TempDir()}
	postgres, rabbitmq := []string{"postgres", "initdb"}, []string{"rabbitmq-server"}
	for _, c := range []struct {
		name   string
		places places
		want   []string
	}{
		{"both", places{empty, empty}, append(slices.Clone(postgres), rabbitmq...)},
		{"rabbitmq", places{fakePostgres(t, "17.2"), empty}, rabbitmq},
		{"postgres", places{empty, fakeRabbitMQ(t)}, postgres},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Start(t.Context(), Options{Dir: t.TempDir(), places: &c.places})
			var missing *MissingError
			if !errors.As(err, &missing) {
				t.Fatalf("error is %v", err)
			}
			if !slices.Equal(missing.Programs, c.want) {
				t.Errorf("missing are %v, want %v", missing.Programs, c.want)
			}
			for _, program := range c.want {
				if !strings.Contains(err.Error(), program) {
					t.Errorf("%q does not name %s", err, program)
				}
			}
		})
	}
}

func TestInstallCommand(t *testing.T) {
	sudo := "sudo "
	if os.Geteuid() == 0 {
		sudo = ""
	}
	both := []string{"postgres", "initdb", "rabbitmq-server"}
	for _, c := range []struct {
		manager string
		missing []string
		want    string
	}{
		{"apt-get", both, sudo + "apt-get install -y postgresql rabbitmq-server"},
		{"apt-get", both[:2], sudo + "apt-get install -y postgresql"},
		{"dnf", both, sudo + "dnf install -y postgresql-server rabbitmq-server"},
		{"brew", both, "brew install postgresql@17 rabbitmq"},
		{"brew", both[2:], "brew install rabbitmq"},
		{"pacman", both, ""},
	} {
		t.Run(c.manager, func(t *testing.T) {
			dir := t.TempDir()
			script(t, filepath.Join(dir, c.manager), "")
			t.Setenv("PATH", dir)
			if got := installCommand(c.missing); got != c.want {
				t.Errorf("for %v: %q, want %q", c.missing, got, c.want)
			}
		})
	}
}

func TestTheNewestPostgresIsFound(t *testing.T) {
	dirs := slices.Concat(fakePostgres(t, "9.6.24"), fakePostgres(t, "15.3 (Debian 15.3-1)"), fakePostgres(t, "17.2"), []string{t.TempDir()})
	found := findPostgres(dirs)
	var majors []int
	for _, v := range found {
		majors = append(majors, v.major)
	}
	if !slices.Equal(majors, []int{17, 15, 9}) {
		t.Fatalf("found %v", found)
	}
	t.Run("but existing data keeps its version", func(t *testing.T) {
		cluster := t.TempDir()
		if dir, err := choosePostgres(found, filepath.Join(cluster, "none")); err != nil || dir != dirs[2] {
			t.Errorf("for new data: %s, %v", dir, err)
		}
		version := filepath.Join(cluster, "PG_VERSION")
		if err := os.WriteFile(version, []byte("15\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if dir, err := choosePostgres(found, cluster); err != nil || dir != dirs[1] {
			t.Errorf("for data of 15: %s, %v", dir, err)
		}
		if err := os.WriteFile(version, []byte("13\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := choosePostgres(found, cluster); err == nil || !strings.Contains(err.Error(), "PostgreSQL 13") {
			t.Errorf("for data of 13: %v", err)
		}
	})
}

func TestTheWrapperOfRabbitMQIsPassedOver(t *testing.T) {
	usr := t.TempDir()
	wrapper := filepath.Join(usr, "lib/bin/rabbitmq-script-wrapper")
	script(t, wrapper, "exit 1")
	script(t, filepath.Join(usr, "lib/bin/rabbitmq-env"), "")
	if err := os.Mkdir(filepath.Join(usr, "sbin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(wrapper, filepath.Join(usr, "sbin/rabbitmq-server")); err != nil {
		t.Fatal(err)
	}
	real := fakeRabbitMQ(t)
	got := findRabbitMQ(append([]string{filepath.Join(usr, "sbin")}, real...))
	if want := filepath.Join(real[0], "rabbitmq-server"); got != want {
		t.Errorf("found %q, want %q", got, want)
	}
}

func fakePostgres(t *testing.T, version string) []string {
	dir := t.TempDir()
	script(t, filepath.Join(dir, "postgres"), "echo 'postgres (PostgreSQL) "+version+"'")
	script(t, filepath.Join(dir, "initdb"), "exit 1")
	return []string{dir}
}

func fakeRabbitMQ(t *testing.T) []string {
	dir := t.TempDir()
	script(t, filepath.Join(dir, "rabbitmq-server"), "exit 1")
	script(t, filepath.Join(dir, "rabbitmq-env"), "")
	return []string{dir}
}

func script(t *testing.T, path, body string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}
