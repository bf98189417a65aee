package bench

import (
	"cmp"
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

// inTurn is how they are looked at before the work, and backward after it: looking is not to count as work of the bench.
var inTurn = []string{groupBroker, groupPostgres, groupOrderflow, groupBench}

const (
	lookEvery = time.Second     // at the memory of processes that are known
	findEvery = 5 * time.Second // processes that are new, which may take 30 ms of CPU time
)

// group is processes whose use is added up.
type group struct {
	roots         []int32 // its first processes
	children      bool    // theirs belong to it, too
	processes     []*process.Process
	before, after spent
	peak          uint64 // bytes of memory
}

// spent is CPU time in seconds: of each process that lives, and of all children that have ended. It is also what those that live have
// written to disks, in bytes, where the system tells that.
type spent struct {
	alive   map[int32]float64
	ended   float64
	written map[int32]uint64
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
	brokers := addressesOf(cfg.AMQPURLs, amqpPorts)
	find(groupBroker, brokers, "beam", true)
	find(groupPostgres, postgresAddress(cfg.DatabaseURL), "postgres", true)
	find(groupOrderflow, addressesOf([]string{cfg.URL}, httpPorts), "", false)
	if server, edge := m.groups[groupBroker], m.groups[groupOrderflow]; server != nil && edge != nil {
		for _, pid := range clients(all, brokers) {
			if pid != self && !slices.Contains(server.roots, pid) && !slices.Contains(edge.roots, pid) {
				edge.roots = append(edge.roots, pid)
			}
		}
	}
	for _, name := range inTurn {
		if g := m.groups[name]; g != nil {
			g.find(ctx)
			g.before = g.spent(ctx)
		}
	}
	return m, nil
}

// run looks at the processes until ctx ends.
func (m *meter) run(ctx context.Context) {
	look, find := time.NewTicker(lookEvery), time.NewTicker(findEvery)
	defer look.Stop()
	defer find.Stop()
	for {
		select {
		case <-look.C:
		case <-find.C:
			for _, g := range m.groups {
				g.find(ctx)
			}
		case <-ctx.Done():
			return
		}
		for _, g := range m.groups {
			g.look()
		}
	}
}

// stop takes the last look.
func (m *meter) stop(ctx context.Context) {
	for _, name := range slices.Backward(inTurn) {
		if g := m.groups[name]; g != nil {
			g.find(ctx)
			g.after = g.spent(ctx)
			g.look()
		}
	}
}

func (g *group) find(ctx context.Context) {
	g.processes = nil
	for _, pid := range g.roots {
		p, err := process.NewProcessWithContext(ctx, pid)
		if err != nil {
			continue // it has ended
		}
		g.processes = append(g.processes, p)
		if g.children {
			children, _ := p.ChildrenWithContext(ctx)
			g.processes = append(g.processes, children...)
		}
	}
}

// look at the memory.
func (g *group) look() {
	var memory sum
	for _, p := range g.processes {
		memory.add(p)
	}
	g.peak = max(g.peak, memory.bytes())
}

func (g *group) spent(ctx context.Context) spent {
	s := spent{alive: map[int32]float64{}, written: map[int32]uint64{}}
	for _, p := range g.processes {
		if t, err := p.TimesWithContext(ctx); err == nil {
			s.alive[p.Pid] = t.User + t.System
		}
		if io, err := p.IOCountersWithContext(ctx); err == nil {
			s.written[p.Pid] = io.DiskWriteBytes
		}
		if g.children && slices.Contains(g.roots, p.Pid) {
			s.ended += endedChildren(p)
		}
	}
	return s
}

// used is the CPU time from before to after.
func (g *group) used() float64 {
	seconds := g.after.ended - g.before.ended
	for pid, after := range g.after.alive {
		seconds += after - g.before.alive[pid] // nothing where it was born since
	}
	if knowsEnded && g.children {
		for pid, before := range g.before.alive {
			if _, alive := g.after.alive[pid]; !alive {
				seconds -= before // was spent earlier by one that has ended since
			}
		}
	}
	return seconds
}

// written is how many bytes were written to disks from before to after, by processes that lived then; known is false where the system
// does not tell it of one of them.
func (g *group) written() (bytes uint64, known bool) {
	for pid := range g.after.alive {
		after, is := g.after.written[pid]
		_, lived := g.before.alive[pid]
		before, was := g.before.written[pid]
		if !is || lived && !was {
			return 0, false
		}
		bytes += after - min(before, after) // all where it was born since
	}
	return bytes, true
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

// clients finds the processes that are connected to one of these addresses, which are on this machine.
func clients(all []netstat.ConnectionStat, addresses []string) (pids []int32) {
	for _, c := range all {
		leads := slices.ContainsFunc(addresses, func(a string) bool { return strings.HasSuffix(a, fmt.Sprintf(":%d", c.Raddr.Port)) })
		if leads && c.Pid > 0 && c.Status == "ESTABLISHED" && !slices.Contains(pids, c.Pid) {
			pids = append(pids, c.Pid)
		}
	}
	return pids
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

// The ports of addresses that name none.
var (
	amqpPorts = map[string]string{"amqp": "5672", "amqps": "5671"}
	httpPorts = map[string]string{"http": "80", "https": "443"}
)

// addressesOf are the hosts and ports of URLs.
func addressesOf(urls []string, ports map[string]string) (all []string) {
	for _, text := range urls {
		u, err := url.Parse(strings.TrimSpace(text))
		if err != nil {
			all = append(all, unreadable)
			continue
		}
		all = append(all, addressOf(u, ports))
	}
	return all
}

const unreadable = "an address that cannot be read"

func addressOf(u *url.URL, ports map[string]string) string {
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), ports[u.Scheme]))
}

// postgresAddress is that of a server that is reached by TCP. A socket in a folder is no address that a process can be found by.
func postgresAddress(u string) []string {
	cfg, err := pgconn.ParseConfig(u)
	if err != nil {
		return []string{unreadable}
	}
	return []string{net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port)))}
}
