// Package devtest gives tests real servers: a RabbitMQ and a Postgres, never stand-ins for them.
//
//	func TestMain(m *testing.M) { devtest.Main(m) }
//
//	func TestSomething(t *testing.T) {
//		env := devtest.New(t) // a vhost and a database of this test alone
//		…
//	}
//
// The servers are started once for a test binary, when the first test asks for them:
//
//  1. those that AMQP_URL, RABBITMQ_MANAGEMENT_URL and DATABASE_URL name, if all three are set;
//  2. else containers, where a Docker engine answers that has or can get the images;
//  3. else private processes, by package devstack.
//
// ORDERFLOW_TEST_SERVERS=containers or =processes chooses between 2 and 3, and then nothing else is tried.
//
// A test that kills servers asks for its own with Own. They come from the same source, except that servers given by URL
// aren't ours to kill: Own goes on to 2 and 3 then.
//
// Programs that test, rather than being tests, get servers of their own by Start.
//
// Under -short a test that asks for servers is skipped.
package devtest
