package bench

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	netstat "github.com/shirou/gopsutil/v4/net"
	"github.com/shirou/gopsutil/v4/process"
)

// The groups of processes that share the work.
const (
	groupBroker    = "broker"
	groupPostgres  = "postgres"
	groupOrderflow = "orderflow"
	groupBench     = "bench"
)

// sampleEvery is how often processes are looked at. What a process has used is lost from the last look before it ends.
const sampleEvery = time.Second

// group is processes whose use is added up.
type group struct {
	roots    []int32 // its first processes
	children bool    // theirs belong to it, too
	before   map[int32]float64
	now      map[int32]float64 // seconds of CPU time by process, as last seen; also of those that have ended
	peak     uint64            // bytes of memory
}

// meter measures what groups of processes use.
type meter struct {
	groups map[string]*group
	absent map[string]string // why there is no figure of a group
}

// newMeter finds the processes: servers by the ports on which they listen, services also by their connections to the broker.
func newMeter(ctx context.Context, cfg Config) (*meter, error) {
	all, err := netstat.ConnectionsWithContext(ctx, "tcp")
	if err != nil {
		return nil, fmt.Errorf("look for the processes: %w", err)
	}
	self := int32(os.Getpid())
	m := &meter{groups: map[string]*group{groupBench: {roots: []int32{self}}}, absent: map[string]string{}}
	find := func(name string, addresses []string, program string, children bool) {
		pids, err := listeners(ctx, all, addresses, program)
		if err != nil {
			m.absent[name] = err.Error()
			return
		}
		m.groups[name] = &group{roots: pids, children: children}
	}
	brokers := amqpAddresses(cfg.AMQPURLs)
	find(groupBroker, brokers, "beam", true)
	find(groupPostgres, postgresAddress(cfg.DatabaseURL), "postgres", true)
	find(groupOrderflow, httpAddress(cfg.URL), "", false)
	if g := m.groups[groupOrderflow]; g != nil && m.groups[groupBroker] != nil {
		for _, c := range all {
			if c.Pid > 0 && c.Pid != self && c.Status == "ESTABLISHED" && leadsTo(c.Raddr, brokers) &&
				!slices.Contains(g.roots, c.Pid) && !slices.Contains(m.groups[groupBroker].roots, c.Pid) {
				g.roots = append(g.roots, c.Pid)
			}
		}
	}
	for _, g := range m.groups {
		g.sample(ctx)
		g.before = g.now
	}
	return m, nil
}

// run takes samples until ctx ends.
func (m *meter) run(ctx context.Context) {
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			m.sample(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (m *meter) sample(ctx context.Context) {
	for _, g := range m.groups {
		g.sample(ctx)
	}
}

// sample looks at every process of the group. One that has ended meanwhile is passed over.
func (g *group) sample(ctx context.Context) {
	now := map[int32]float64{}
	for pid, seconds := range g.now {
		now[pid] = seconds
	}
	var memory sum
	for _, p := range g.processes(ctx) {
		if t, err := p.TimesWithContext(ctx); err == nil {
			now[p.Pid] = t.User + t.System
		}
		memory.add(p)
	}
	g.now, g.peak = now, max(g.peak, memory.bytes())
}

func (g *group) processes(ctx context.Context) (all []*process.Process) {
	for _, pid := range g.roots {
		p, err := process.NewProcessWithContext(ctx, pid)
		if err != nil {
			continue
		}
		all = append(all, p)
		if g.children {
			children, _ := p.ChildrenWithContext(ctx)
			all = append(all, children...)
		}
	}
	return all
}

// used is the CPU time since the beginning.
func (g *group) used() (seconds float64) {
	for pid, now := range g.now {
		seconds += now - g.before[pid] // 0 before it was born
	}
	return seconds
}

// sum adds up the memory of processes. What they share, such as Postgres's buffers, counts once.
type sum struct{ own, shared uint64 }

func (s *sum) add(p *process.Process) {
	if resident, shared, err := memoryOf(p); err == nil {
		s.own += resident - min(shared, resident)
		s.shared = max(s.shared, shared)
	}
}

func (s *sum) bytes() uint64 { return s.own + s.shared }

// listeners finds the processes that listen on all these addresses. Their name has to contain that of the program: what passes
// connections on to a container, say, is not the server.
func listeners(ctx context.Context, all []netstat.ConnectionStat, addresses []string, program string) (pids []int32, err error) {
	for _, address := range addresses {
		host, port, err := net.SplitHostPort(address)
		if err != nil || !isLocal(ctx, host) {
			return nil, fmt.Errorf("%s is not on this machine", address)
		}
		i := slices.IndexFunc(all, func(c netstat.ConnectionStat) bool {
			return c.Status == "LISTEN" && c.Pid > 0 && strconv.Itoa(int(c.Laddr.Port)) == port
		})
		if i < 0 {
			return nil, fmt.Errorf("no process that may be looked at listens on port %s of this machine", port)
		}
		pid := all[i].Pid
		p, err := process.NewProcessWithContext(ctx, pid)
		if err != nil {
			return nil, err
		}
		if name, err := p.NameWithContext(ctx); err != nil || !strings.Contains(name, program) {
			return nil, fmt.Errorf("what listens on port %s of this machine is %q, not %s", port, name, program)
		}
		if !slices.Contains(pids, pid) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// leadsTo tells whether the remote end of a connection has the port of one of the addresses, which are on this machine.
func leadsTo(remote netstat.Addr, addresses []string) bool {
	return slices.ContainsFunc(addresses, func(address string) bool {
		return strings.HasSuffix(address, fmt.Sprintf(":%d", remote.Port))
	})
}

// isLocal tells whether a host is this machine.
func isLocal(ctx context.Context, host string) bool {
	addresses, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil || len(addresses) == 0 {
		return false
	}
	own, _ := net.InterfaceAddrs()
	return !slices.ContainsFunc(addresses, func(a net.IPAddr) bool {
		return !a.IP.IsLoopback() && !a.IP.IsUnspecified() && !slices.ContainsFunc(own, func(o net.Addr) bool {
			n, is := o.(*net.IPNet)
			return is && n.IP.Equal(a.IP)
		})
	})
}

func amqpAddresses(urls []string) (all []string) {
	for _, u := range urls {
		all = append(all, addressOf(u, map[string]string{"amqp": "5672", "amqps": "5671"}))
	}
	return all
}

func httpAddress(u string) []string {
	return []string{addressOf(u, map[string]string{"http": "80", "https": "443"})}
}

// addressOf is the host and port of a URL.
func addressOf(text string, ports map[string]string) string {
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil {
		return "an unreadable address"
	}
	port := u.Port()
	if port == "" {
		port = ports[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// postgresAddress is that of a server that is reached by TCP. A socket in a folder is no address that a process can be found by.
func postgresAddress(u string) []string {
	cfg, err := pgconn.ParseConfig(u)
	if err != nil {
		return []string{"an unreadable address"}
	}
	return []string{net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port)))}
}
