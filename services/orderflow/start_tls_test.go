package main_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"orderflow/pkg/devstack/devtest"
)

// authority is a CA that nobody knows who is not given its file.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	file        string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a CA of this test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &authority{certificate, key, file}
}

// issue makes the certificate of a server.
func (a *authority) issue(t *testing.T, names []string, addresses ...net.IP) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), DNSNames: names, IPAddresses: addresses,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// speakTLS takes TLS off. To what is none it says so, as RabbitMQ's listeners do, by an alert.
func speakTLS(config *tls.Config) func(net.Conn) (net.Conn, error) {
	return func(c net.Conn) (net.Conn, error) {
		secure := tls.Server(c, config)
		err := secure.Handshake()
		if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
			c.Write([]byte{21, 3, 3, 0, 2, 2, 10})
		}
		return secure, err
	}
}

// speakTLSWhenAsked is speakTLS in Postgres's way, which begins with a question in plain text.
func speakTLSWhenAsked(config *tls.Config) func(net.Conn) (net.Conn, error) {
	return func(c net.Conn) (net.Conn, error) {
		if _, err := io.ReadFull(c, make([]byte, 8)); err != nil {
			return nil, err
		}
		if _, err := c.Write([]byte("S")); err != nil {
			return nil, err
		}
		return speakTLS(config)(c)
	}
}

// TestTLS runs the program on servers that are reached by TLS: with the CA it works, and without it says what is missing.
func TestTLS(t *testing.T) {
	t.Parallel()
	env := *devtest.New(t)
	ca := newAuthority(t)
	right, wrong := ca.issue(t, nil, net.IPv4(127, 0, 0, 1)), ca.issue(t, []string{"elsewhere.example"})
	amqps := func(address, query string) string {
		return changed(t, env.AMQPURL, func(u *url.URL) { u.Scheme, u.Host, u.RawQuery = "amqps", address, query })
	}
	database := func(address, query string) string {
		return changed(t, env.DatabaseURL, func(u *url.URL) { u.Host, u.RawQuery = address, query })
	}
	broker, brokerElsewhere := front(t, hostOf(t, env.AMQPURL), speakTLS(right)).address, front(t, hostOf(t, env.AMQPURL), speakTLS(wrong)).address
	postgres := front(t, hostOf(t, env.DatabaseURL), speakTLSWhenAsked(right)).address
	postgresElsewhere := front(t, hostOf(t, env.DatabaseURL), speakTLSWhenAsked(wrong)).address
	cacertfile, sslrootcert := "cacertfile="+ca.file, "sslmode=verify-full&sslrootcert="+ca.file

	const (
		noBroker   = `connect to RabbitMQ at 127.0.0.1:\d+: `
		noPostgres = `connect to Postgres at 127.0.0.1:\d+, database "test-\w+": .*`
		nameCA     = `.*the broker's certificate is not trusted: name its CA by \?cacertfile=/path/to/ca.pem in AMQP_URL, and the host as the certificate does`
		nameRoot   = `.*the server's certificate is not trusted: name its CA by sslrootcert=/path/to/ca.pem in DATABASE_URL, and the host as the certificate does`
	)
	expectFaults(t, env, map[string]startFault{
		"RabbitMQ, unknown CA":   {"AMQP_URL=" + amqps(broker, ""), "serve", 1, noBroker + `.*unknown authority` + nameCA, false},
		"RabbitMQ, wrong host":   {"AMQP_URL=" + amqps(brokerElsewhere, cacertfile), "serve", 1, noBroker + `.*127.0.0.1` + nameCA, false},
		"RabbitMQ, no TLS there": {"AMQP_URL=" + amqps(hostOf(t, env.AMQPURL), cacertfile), "serve", 1, noBroker + `what listens there does not speak TLS: check host and port`, false},
		"RabbitMQ, TLS not asked for": {"AMQP_URL=" + changed(t, env.AMQPURL, on(broker)), "topology", 1,
			noBroker + `what listens there does not speak AMQP: .*; a port for TLS needs amqps:// in place of amqp://`, false},
		"Postgres, unknown CA":   {"DATABASE_URL=" + database(postgres, "sslmode=verify-full"), "serve", 1, noPostgres + `unknown authority` + nameRoot, false},
		"Postgres, wrong host":   {"DATABASE_URL=" + database(postgresElsewhere, sslrootcert), "migrate", 1, noPostgres + `127.0.0.1` + nameRoot, false},
		"Postgres, no TLS there": {"DATABASE_URL=" + database(hostOf(t, env.DatabaseURL), sslrootcert), "serve", 1, noPostgres + `the server does not speak TLS, which sslmode in DATABASE_URL demands`, false},
	})
	t.Run("works", func(t *testing.T) {
		p := serve(t, env, "AMQP_URL="+amqps(broker, cacertfile), "DATABASE_URL="+database(postgres, sslrootcert))
		putStock(t, p.client, "book", 100)
		putStock(t, p.client, "lamp", 100)
		if o := follow(t, p.client, place(t, p.client, goodOrder("customer")).OrderID); o.Status != "shipped" {
			t.Errorf("the order is %s", o.Status)
		}
	})
}
