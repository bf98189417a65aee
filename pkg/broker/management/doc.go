// Package management asks RabbitMQ's management API what AMQP cannot tell: which bindings, policies, consumers and alarms there are. It only
// reads, and what it may read depends on the tags of its user.
//
// Two answers to the same question differ. A listing of queues with disable_stats is of this moment; the one without is some seconds old, and
// alone knows operator policies and what all policies of a queue come to (RabbitMQ 3.10).
package management
