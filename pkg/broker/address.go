package broker

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Check tells what is wrong with addresses of RabbitMQ, as far as that can be seen without dialling them.
func Check(urls []string) error {
	_, err := parse(urls)
	return err
}

// Login tells as which user, and to which virtual host, the first of the addresses leads.
func Login(urls []string) (user, vhost string, err error) {
	uris, err := parse(urls)
	if err != nil {
		return "", "", err
	}
	return uris[0].Username, uris[0].Vhost, nil
}

func parse(urls []string) ([]amqp.URI, error) {
	if len(urls) == 0 {
		return nil, &setupError{errors.New("AMQP_URL: no address of RabbitMQ"), "it looks like amqp://user:password@host:5672/vhost"}
	}
	uris := make([]amqp.URI, len(urls))
	for i, u := range urls {
		uri, err := amqp.ParseURI(u)
		if err != nil || uri.Port < 1 || uri.Port > 65535 {
			// The parser's error quotes the password.
			return nil, &setupError{fmt.Errorf("AMQP_URL: address %d of %d cannot be parsed", i+1, len(urls)),
				"it looks like amqp://user:password@host:5672/vhost, with special characters percent-encoded"}
		}
		if err := errors.Join(checkMechanisms(uri), checkFiles(uri)); err != nil {
			return nil, &setupError{fmt.Errorf("AMQP_URL: address %d of %d: %w", i+1, len(urls), err),
				"see https://www.rabbitmq.com/docs/uri-query-parameters"}
		}
		uris[i] = uri
	}
	return uris, nil
}

func checkMechanisms(uri amqp.URI) error {
	for _, name := range uri.AuthMechanism {
		if mechanism(uri, name) == nil {
			return fmt.Errorf("auth_mechanism %q is none of plain, amqplain and external", name)
		}
	}
	return nil
}

// checkFiles reads the files of an amqps address. The library would pass over some that are of no use.
func checkFiles(uri amqp.URI) error {
	if uri.CACertFile != "" {
		pem, err := os.ReadFile(uri.CACertFile)
		if err != nil {
			return fmt.Errorf("cacertfile: %w", err)
		}
		if !x509.NewCertPool().AppendCertsFromPEM(pem) {
			return fmt.Errorf("cacertfile: %s has no certificate in PEM format", uri.CACertFile)
		}
	}
	if uri.CertFile == "" && uri.KeyFile == "" {
		return nil
	}
	if _, err := tls.LoadX509KeyPair(uri.CertFile, uri.KeyFile); err != nil {
		return fmt.Errorf("certfile and keyfile: %w", err)
	}
	return nil
}

// login asks the broker to say so where it refuses a user. Otherwise RabbitMQ hangs up after three seconds, without a word, and
// looks like a broker that is going down. The library itself writes the capabilities, just before it asks for the response.
type login struct {
	amqp.Authentication
	properties amqp.Table
}

func (l login) Response() string {
	if capabilities, ok := l.properties["capabilities"].(amqp.Table); ok {
		capabilities["authentication_failure_close"] = true
	}
	return l.Authentication.Response()
}

// logins are the ways to log in that an address names; by default PLAIN.
func logins(uri amqp.URI, properties amqp.Table) (all []amqp.Authentication) {
	names := uri.AuthMechanism
	if len(names) == 0 {
		names = []string{"plain"}
	}
	for _, name := range names {
		all = append(all, login{mechanism(uri, name), properties})
	}
	return all
}

// mechanism is the way to log in of that name, or nil.
func mechanism(uri amqp.URI, name string) amqp.Authentication {
	switch strings.ToLower(name) {
	case "plain":
		return uri.PlainAuth()
	case "amqplain":
		return uri.AMQPlainAuth()
	case "external":
		return new(amqp.ExternalAuth)
	}
	return nil
}
