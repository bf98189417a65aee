// Package httpapi sets echo up once for all services: strict JSON in, RFC 9457 problem details out, health, readiness and metrics.
//
// A handler returns its result or an error. An error that is a [*Problem] says itself what the client sees; a refused field is
// an [event.FieldError]; everything else is a 500 whose cause goes to the log and not to the client.
package httpapi
