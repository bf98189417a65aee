package doctor

import (
	"context"
	"sync"
	"time"

	"orderflow/pkg/broker"
)

// Config says what to look at. An empty address is one that is not set.
type Config struct {
	Version       string // of this program
	Services      []Service
	AMQPURLs      []string
	ManagementURL string
	DatabaseURL   string
	APIURL        string
	RetryDelays   []time.Duration
	DBMaxConns    int           // of each service
	Patience      time.Duration // what each server gets
}

// Run looks at everything, at the same time. It takes no longer than cfg.Patience, but for closing what it has opened.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	p := newPlan(cfg.Services, cfg.RetryDelays)
	user, vhost, err := broker.Login(cfg.AMQPURLs)
	if err != nil {
		return nil, err
	}
	var (
		group sync.WaitGroup
		b     = &brokerFacts{user: user, vhost: vhost}
		db    *databaseFacts
		api   *apiFacts
	)
	group.Go(within(ctx, cfg.Patience, func(ctx context.Context) { b.amqp = seeAMQP(ctx, cfg.AMQPURLs, p) }))
	group.Go(within(ctx, cfg.Patience, func(ctx context.Context) { b.api = seeManagement(ctx, cfg.ManagementURL, vhost) }))
	group.Go(within(ctx, cfg.Patience, func(ctx context.Context) { db = seePostgres(ctx, cfg.DatabaseURL, cfg.Services) }))
	group.Go(within(ctx, cfg.Patience, func(ctx context.Context) { api = seeAPI(ctx, cfg.APIURL) }))
	group.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return newReport(judge(cfg, p, b, db, api)), nil
}

// judge makes the report of what was seen, in the order in which one thing rests on the other.
func judge(cfg Config, p *plan, b *brokerFacts, db *databaseFacts, api *apiFacts) (all []Finding) {
	version := check{name: "orderflow"}
	for _, findings := range [][]Finding{
		version.otherwise("version %s", cfg.Version),
		judgeRabbitMQ(b), judgeManagement(b), judgeFlags(b), judgeResources(b.api), judgeBrokerClock(b.api),
		judgeExchanges(p, b), judgeQueues(p, b), judgeBindings(p, b), judgePolicies(p, b.api), judgeDelays(p, b.api), judgeQuorums(p, b.api),
		judgeBrokerRights(p, b), judgeProcesses(p, b.api, cfg.Version), judgeConsumers(p, b), judgeBacklog(p, b), judgeDeadLetters(p, b),
		judgePostgres(db), judgeDurability(db), judgeWritable(db), judgeDatabaseClock(db), judgeMigrations(db), judgeDatabaseRights(db), judgeDays(db),
		judgeOutbox(db), judgeConnections(db, cfg.DBMaxConns), judgeTransactions(db),
		judgeAPI(api),
	} {
		all = append(all, findings...)
	}
	return all
}

func judgeBrokerClock(f *managementFacts) []Finding {
	const name = "clock-rabbitmq"
	if do, seen, is := dark(f, f.clock, "monitoring"); is {
		return unknown(name, do, seen)
	}
	return judgeClock(name, "RabbitMQ", f.clock)
}

func judgeDatabaseClock(f *databaseFacts) []Finding {
	const name = "clock-postgres"
	if do, seen, is := f.dark(f.clock.err); is {
		return unknown(name, do, seen)
	}
	return judgeClock(name, "Postgres", f.clock)
}
