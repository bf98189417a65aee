package devstack

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
)

// Control runs rabbitmqctl on the broker, as an operator would, and returns what it prints: "list_connections", "-q".
func (s *Stack) Control(ctx context.Context, args ...string) ([]byte, error) {
	server, in := s.rabbitmq.program, filepath.Join(s.home.data, "rabbitmq")
	cmd := exec.CommandContext(ctx, filepath.Join(filepath.Dir(server.path), "rabbitmqctl"), args...)
	cmd.Env = []string{
		"PATH=" + searchPath(server.path),
		"HOME=" + filepath.Join(in, "home"), // has the cookie
		"LC_ALL=C.UTF-8",
		"RABBITMQ_NODENAME=" + node,
		"RABBITMQ_CONF_ENV_FILE=" + filepath.Join(in, "env.conf"),
		// The tool is an Erlang node, too. Without epmd it would listen on the port where it is told to find the broker.
		fmt.Sprintf("ERL_ZFLAGS=-start_epmd false -dist_listen false -erl_epmd_port %d", s.home.Ports.Distribution),
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("rabbitmqctl %v: %w: %s", args, err, out)
	}
	return out, nil
}
