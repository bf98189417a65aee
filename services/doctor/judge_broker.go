package doctor

import (
	"fmt"
	"strconv"
	"strings"

	"orderflow/pkg/broker/management"
)

// brokerFacts is everything that is known of RabbitMQ.
type brokerFacts struct {
	user, vhost string // by AMQP_URL
	amqp        *amqpFacts
	api         *managementFacts
}

// dark tells why an answer of the management API is not there, and what to do about it.
func dark[T any](f *managementFacts, a answer[T], tag string) (do, seen string, is bool) {
	switch {
	case f.unset:
		return "set RABBITMQ_MANAGEMENT_URL", "AMQP alone does not tell", true
	case f.err != nil:
		return "see management", "the management API does not answer", true
	case management.IsRefused(a.err):
		return fmt.Sprintf("rabbitmqctl set_user_tags %s %s, or name another user in RABBITMQ_MANAGEMENT_URL", f.user, tag),
			fmt.Sprintf("the management API does not tell this to user %q", f.user), true
	case a.err != nil:
		return "try again, with a longer --timeout", fmt.Sprintf("the management API: %v", a.err), true
	}
	return "", "", false
}

func judgeRabbitMQ(f *brokerFacts) []Finding {
	c := check{name: "rabbitmq"}
	release := f.amqp.release
	if f.amqp.err != nil {
		do := "start RabbitMQ, or correct its address in AMQP_URL; a slow one needs a longer --timeout"
		if f.amqp.setup {
			do = "correct AMQP_URL, or what it names"
		}
		c.wrong(do, "%s", f.amqp.err)
		return c.findings
	}
	switch major, minor, ok := parseVersion(release); {
	case !ok:
		c.unknown("use RabbitMQ 3.10 or newer", "the broker's version is %q", release)
	case major < 3 || major == 3 && minor < 10:
		c.wrong("upgrade to RabbitMQ 3.10 or newer", "RabbitMQ %s is too old", release)
	case major > 4:
		c.warning("use RabbitMQ 3.10 to 4.x, or look for a newer version of orderflow", "RabbitMQ %s is newer than what orderflow was tried with", release)
	}
	erlang := ""
	if f.api.overview.value.Erlang != "" {
		erlang = ", Erlang " + f.api.overview.value.Erlang
	}
	return c.otherwise("RabbitMQ %s%s; user %q, virtual host %q", release, erlang, f.user, f.vhost)
}

// parseVersion reads the first two numbers of a version.
func parseVersion(text string) (major, minor int, ok bool) {
	first, rest, _ := strings.Cut(text, ".")
	second, _, _ := strings.Cut(rest, ".")
	major, errMajor := strconv.Atoi(first)
	minor, errMinor := strconv.Atoi(second)
	return major, minor, errMajor == nil && errMinor == nil
}

func judgeManagement(b *brokerFacts) []Finding {
	c, f := check{name: "management"}, b.api
	switch {
	case f.unset:
		c.unknown("set RABBITMQ_MANAGEMENT_URL, such as http://user:password@host:15672", "RABBITMQ_MANAGEMENT_URL is not set")
	case management.IsRefused(f.err):
		c.wrong("correct user and password in RABBITMQ_MANAGEMENT_URL; the user needs a tag: rabbitmqctl set_user_tags USER monitoring",
			"the management API refuses the user: %v", f.err)
	case f.err != nil && b.amqp.err != nil && !b.amqp.setup: // it is the same server
		c.unknown(seeBroker, brokerAway)
	case f.err != nil:
		c.wrong("rabbitmq-plugins enable rabbitmq_management, or correct RABBITMQ_MANAGEMENT_URL", "the management API does not answer: %v", f.err)
	}
	return c.otherwise("the management API answers user %q (%s)", f.user, strings.Join(f.tags, ", "))
}

// judgeFlags looks for what RabbitMQ 3 has only where it was enabled. From 4.0 on it cannot be without.
func judgeFlags(f *brokerFacts) []Finding {
	c := check{name: "feature-flags"}
	if major, _, ok := parseVersion(f.amqp.release); ok && major >= 4 {
		return c.otherwise("RabbitMQ %s has all that is needed", f.amqp.release)
	}
	if do, seen, is := dark(f.api, f.api.flags, "administrator"); is {
		return unknown(c.name, do, seen)
	}
	needed := map[string]string{"quorum_queue": "queues that survive a node", "stream_queue": "dead-lettering at least once"}
	for _, flag := range f.api.flags.value {
		if why, is := needed[flag.Name]; is && flag.State != "enabled" {
			c.wrong("rabbitmqctl enable_feature_flag "+flag.Name, "the feature flag %s is %s: it is needed for %s", flag.Name, flag.State, why)
		}
	}
	return c.otherwise("quorum_queue and stream_queue are enabled")
}

// Of what is left of a resource when somebody should know.
const (
	diskLeft = 1 << 30 // bytes above the limit
	fullness = 0.8
)

func judgeResources(f *managementFacts) []Finding {
	c := check{name: "resources"}
	if do, seen, is := dark(f, f.nodes, "monitoring"); is {
		return unknown(c.name, do, seen)
	}
	var free []string
	for _, n := range f.nodes.value {
		c.judgeNode(n)
		free = append(free, fmt.Sprintf("%s: %s of disk free (limit %s), %s of %s of memory used",
			n.Name, bytes(n.DiskFree), bytes(n.DiskFreeLimit), bytes(n.Memory), bytes(n.MemoryLimit)))
	}
	return c.otherwise("%s", strings.Join(free, "; "))
}

func (c *check) judgeNode(n node) {
	if !n.Running {
		c.wrong("start the node; see its log", "node %s does not run", n.Name)
		return
	}
	if len(n.Partitions) > 0 {
		c.wrong("mend the network, then restart the nodes on the side that is to give in: rabbitmqctl cluster_status",
			"node %s has lost sight of %s", n.Name, many(n.Partitions))
	}
	switch {
	case n.DiskFree == unmeasured:
		c.unknown("see the node's log for why, and look at its disk: it raises no alarm when that is full", "node %s cannot measure its disk", n.Name)
	case n.DiskFree == 0 && n.DiskFreeLimit == 0:
		c.unknown("ask again in some seconds", "node %s has not measured its disk yet", n.Name)
	case n.DiskAlarm:
		c.wrong("make room on the broker's disk, or lower disk_free_limit", "node %s has a disk alarm and takes no messages: %s free, limit %s",
			n.Name, bytes(n.DiskFree), bytes(n.DiskFreeLimit))
	case n.DiskFree < n.DiskFreeLimit+diskLeft:
		c.warning("make room on the broker's disk: at the limit it takes no more messages", "node %s has %s of disk free, limit %s",
			n.Name, bytes(n.DiskFree), bytes(n.DiskFreeLimit))
	}
	switch {
	case n.MemoryAlarm:
		c.wrong("give the broker memory, or raise vm_memory_high_watermark; `rabbitmq-diagnostics memory_breakdown` tells what takes it",
			"node %s has a memory alarm and takes no messages: %s used, limit %s", n.Name, bytes(n.Memory), bytes(n.MemoryLimit))
	case full(n.Memory, n.MemoryLimit):
		c.warning("give the broker memory: at the limit it takes no more messages", "node %s uses %s of %s of memory",
			n.Name, bytes(n.Memory), bytes(n.MemoryLimit))
	}
	if full(n.Files, n.FilesLimit) {
		c.warning("raise the broker's limit of open files (LimitNOFILE, ulimit -n)", "node %s uses %d of %d file descriptors", n.Name, n.Files, n.FilesLimit)
	}
	if full(n.Sockets, n.SocketsLimit) {
		c.warning("raise the broker's limit of open files (LimitNOFILE, ulimit -n)", "node %s uses %d of %d sockets", n.Name, n.Sockets, n.SocketsLimit)
	}
}

func full(used, limit amount) bool { return limit > 0 && float64(used) > fullness*float64(limit) }

// bytes writes an amount for people.
func bytes[T ~int64](n T) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d bytes", n)
}
