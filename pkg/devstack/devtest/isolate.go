package devtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// withPath replaces the path of an address, or of each in a list with commas: its vhost or its database.
func withPath(t testing.TB, addresses, path string) string {
	t.Helper()
	var out []string
	for address := range strings.SplitSeq(addresses, ",") {
		u, err := url.Parse(strings.TrimSpace(address))
		if err != nil {
			t.Fatalf("devtest: address of a server: %v", err)
		}
		u.Path, u.RawPath = "/"+path, ""
		out = append(out, u.String())
	}
	return strings.Join(out, ",")
}

// createVhost creates the vhost and gives the user of the AMQP address all rights in it.
func createVhost(ctx context.Context, env Env, name string) error {
	first, _, _ := strings.Cut(env.AMQPURL, ",")
	u, err := url.Parse(first)
	if err != nil {
		return fmt.Errorf("AMQP address: %w", err)
	}
	user := "guest"
	if u.User != nil {
		user = u.User.Username()
	}
	if err := manage(ctx, env, http.MethodPut, "/api/vhosts/"+name, struct{}{}); err != nil {
		return err
	}
	return manage(ctx, env, http.MethodPut, "/api/permissions/"+name+"/"+url.PathEscape(user),
		map[string]string{"configure": ".*", "write": ".*", "read": ".*"})
}

func dropVhost(ctx context.Context, env Env, name string) error {
	return manage(ctx, env, http.MethodDelete, "/api/vhosts/"+name, nil)
}

// manage sends one request to the management API. That something to delete isn't there is no error.
func manage(ctx context.Context, env Env, method, path string, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(env.ManagementURL, "/")+path, bytes.NewReader(b))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Close = true // leaves no idle connection and its goroutines behind
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("management API: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode < 300 || method == http.MethodDelete && resp.StatusCode == http.StatusNotFound {
		return nil
	}
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	return fmt.Errorf("management API: %s %s: %s: %s", method, path, resp.Status, answer)
}

func createDatabase(ctx context.Context, env Env, name string) error {
	return execute(ctx, env, `CREATE DATABASE `+pgx.Identifier{name}.Sanitize())
}

// dropDatabase also ends connections that the test left open.
func dropDatabase(ctx context.Context, env Env, name string) error {
	return execute(ctx, env, `DROP DATABASE IF EXISTS `+pgx.Identifier{name}.Sanitize()+` WITH (FORCE)`)
}

func execute(ctx context.Context, env Env, sql string) error {
	conn, err := pgx.Connect(ctx, env.DatabaseURL)
	if err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}
