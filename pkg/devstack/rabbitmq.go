package devstack

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"orderflow/pkg/devstack/port"
)

// node is the Erlang name of the broker. No other node can know or meet it: there is no epmd, and the cookie is its own.
const node = identity + "@localhost"

func (h *home) amqpURL() string {
	u := url.URL{Scheme: "amqp", User: url.UserPassword(identity, h.Password), Host: port.Address(h.Ports.AMQP), Path: identity}
	return u.String()
}

func (h *home) managementURL() string {
	u := url.URL{Scheme: "http", User: url.UserPassword(identity, h.Password), Host: port.Address(h.Ports.Management)}
	return u.String()
}

// metricsURL is where the broker shows its metrics, to everybody on this machine.
func (h *home) metricsURL() string { return "http://" + port.Address(h.Ports.Metrics) }

// rabbitmqConfig lets a developer stop at a breakpoint for long (consumer_timeout), on a disk that is rather full.
const rabbitmqConfig = `listeners.tcp.1 = 127.0.0.1:%d
management.tcp.ip = 127.0.0.1
management.tcp.port = %d
prometheus.tcp.ip = 127.0.0.1
prometheus.tcp.port = %d
default_user = %s
default_pass = %s
default_vhost = %s
default_user_tags.administrator = true
consumer_timeout = 604800000
disk_free_limit.absolute = 100MB
vm_memory_high_watermark.relative = 0.4
log.file = false
log.console = true
log.console.level = info
`

// configureRabbitMQ writes the node's files, so that none of the system's is read.
func (h *home) configureRabbitMQ() error {
	dir := filepath.Join(h.data, "rabbitmq")
	for _, sub := range []string{"home", "messages", "conf.d", "log"} {
		if err := makePrivate(filepath.Join(dir, sub), h.user); err != nil {
			return err
		}
	}
	files := map[string]string{
		"rabbitmq.conf":       fmt.Sprintf(rabbitmqConfig, h.Ports.AMQP, h.Ports.Management, h.Ports.Metrics, identity, h.Password, identity),
		"advanced.config":     "[].\n",
		"env.conf":            "",
		"enabled_plugins":     "[rabbitmq_management,rabbitmq_prometheus].\n",
		"home/.erlang.cookie": h.Cookie,
	}
	for file, content := range files {
		if err := writePrivate(filepath.Join(dir, file), content, 0o400, h.user); err != nil {
			return err
		}
	}
	return nil
}

// rabbitmqServer is the program that runs the node. RABBITMQ_ALLOW_INPUT makes the script become the Erlang machine
// instead of waiting for it as its parent. The node name is given to Erlang itself, with its own port: then RabbitMQ
// finds the distribution running and leaves out all that would need or start epmd.
func (h *home) rabbitmqServer(path string) program {
	dir := filepath.Join(h.data, "rabbitmq")
	in := func(file string) string { return filepath.Join(dir, file) }
	return program{
		path: path, user: h.user, dir: dir,
		log: filepath.Join(h.logDir(), "rabbitmq.log"),
		end: "TERM",
		env: []string{
			"PATH=" + searchPath(path),
			"HOME=" + in("home"),
			"LC_ALL=C.UTF-8",
			"ERL_CRASH_DUMP_SECONDS=0",
			"ERL_ZFLAGS=-start_epmd false",
			"RABBITMQ_ALLOW_INPUT=1",
			"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=" + fmt.Sprintf(
				"-noinput -sname %s -start_epmd false -erl_epmd_port %d -kernel inet_dist_use_interface {127,0,0,1}", node, h.Ports.Distribution),
			fmt.Sprintf("RABBITMQ_DIST_PORT=%d", h.Ports.Distribution),
			"RABBITMQ_NODENAME=" + node,
			// Bound to cores, the schedulers of two nodes on one machine would share the first ones.
			"RABBITMQ_SCHEDULER_BIND_TYPE=u",
			"RABBITMQ_CONF_ENV_FILE=" + in("env.conf"),
			"RABBITMQ_CONFIG_FILE=" + in("rabbitmq.conf"),
			"RABBITMQ_CONFIG_FILES=" + in("conf.d"),
			"RABBITMQ_ADVANCED_CONFIG_FILE=" + in("advanced.config"),
			"RABBITMQ_ENABLED_PLUGINS_FILE=" + in("enabled_plugins"),
			"RABBITMQ_MNESIA_BASE=" + in("messages"),
			"RABBITMQ_LOG_BASE=" + in("log"),
			"RABBITMQ_LOGS=-",
		},
	}
}

// searchPath is the PATH of a server: its own directory and the one where Homebrew has the programs that it needs first.
func searchPath(program string) string {
	dirs := []string{filepath.Dir(program), filepath.Join(filepath.Dir(filepath.Dir(program)), "bin")}
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/opt/homebrew/bin", "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin") {
		if filepath.IsAbs(dir) {
			dirs = append(dirs, dir)
		}
	}
	return strings.Join(dirs, string(filepath.ListSeparator))
}
