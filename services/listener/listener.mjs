// A service of another team, in another language: it hears of every order and prints a line when one has ended. Nothing of it is known to
// the services of orderflow, and it knows nothing of them but the contract: the exchange, the schema files and the AMQP properties.
//
//   AMQP_URL=amqp://… node listener.mjs [ORDERS]      ends after so many orders; without a number, by SIGINT or SIGTERM
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'amqplib';
import { Ajv2020 } from 'ajv/dist/2020.js';

const exchange = 'orders.events';
const queue = process.env.LISTENER_QUEUE ?? 'listener.orders';
const schemas = new URL(process.env.SCHEMAS ?? '../../pkg/event/schemas/', import.meta.url);
const remembered = 100_000; // ids of events

const wanted = process.argv[2] === undefined ? Infinity : Number(process.argv[2]);
if (!/^amqps?:\/\/[^/]/.test(process.env.AMQP_URL ?? '') || !(wanted > 0)) {
  console.error('usage: AMQP_URL=amqp://user:password@host:5672/vhost node listener.mjs [ORDERS]');
  process.exit(2);
}

// A validator for each type and version, by its dataschema, which is the id of its schema. Formats are checked by patterns.
const ajv = new Ajv2020({ keywords: ['x-orderflow'], formats: { uuid: true, 'date-time': true } });
for (const name of readdirSync(schemas).filter((n) => n.endsWith('.json'))) {
  ajv.addSchema(JSON.parse(readFileSync(new URL(name, schemas), 'utf8')));
}

// read returns the event in a message, or throws what is wrong with it.
function read(message) {
  const event = JSON.parse(message.content.toString('utf8'));
  const valid = ajv.getSchema(String(event?.dataschema));
  if (!valid) {
    throw new Error(`no schema of ${event?.dataschema}`);
  }
  if (!valid(event)) {
    throw new Error(ajv.errorsText(valid.errors, { dataVar: '' }));
  }
  return event;
}

// The ids of the events that were handled, the oldest first. A service that does more than print keeps them in its database, and writes each
// in the transaction that does what the event asks for: then a crash between the two cannot do it twice, or not at all.
const handled = new Set();

function isNew(id) {
  if (handled.has(id)) {
    return false;
  }
  handled.add(id);
  if (handled.size > remembered) {
    handled.delete(handled.values().next().value);
  }
  return true;
}

let ended = 0;
let stopping = false;
const enough = signal(); // that it has heard, or been told to stop

// signal is a promise with the function that keeps it.
function signal() {
  let give;
  const given = new Promise((resolve) => { give = resolve; });
  return { given, give };
}

// handle does what this service is for.
function handle({ type, data }) {
  const how = { OrderShipped: 'shipped', OrderCancelled: `cancelled (${data.reason})` }[type];
  if (!how) {
    return; // an order on its way
  }
  console.log(`${data.order_id} ${how} ${data.total_amount} ${data.currency}`);
  ended += 1;
  if (ended >= wanted) {
    enough.give();
  }
}

// take brings one message to its end: handled and acknowledged, or set aside in the dead-letter queue.
function take(channel, message) {
  if (ended >= wanted) {
    return; // it stays in the queue
  }
  let event;
  try {
    event = read(message);
  } catch (error) {
    console.error(`set aside ${message.properties.messageId}: ${error.message}`);
    channel.nack(message, false, false);
    return;
  }
  if (isNew(event.id)) {
    handle(event);
  }
  channel.ack(message);
}

// declare makes what is missing, each time that it connects: the queue, where its dead letters go, and what is routed to it.
async function declare(channel) {
  const dlx = `${queue}.dlx`;
  const dlq = `${queue}.dlq`;
  await channel.assertExchange(exchange, 'topic', { durable: true });
  await channel.assertExchange(dlx, 'fanout', { durable: true });
  await channel.assertQueue(dlq, { durable: true, arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': 2147483647 } });
  await channel.bindQueue(dlq, dlx, '');
  await channel.assertQueue(queue, {
    durable: true,
    arguments: {
      'x-queue-type': 'quorum', 'x-delivery-limit': 20, 'x-overflow': 'reject-publish',
      'x-dead-letter-exchange': dlx, 'x-dead-letter-strategy': 'at-least-once',
    },
  });
  await channel.bindQueue(queue, exchange, '#');
}

// session listens by one connection until that is lost, or enough was heard. A new session has a channel of its own, so that no message is
// acknowledged on another one than it came by.
async function session() {
  const connection = await connect(process.env.AMQP_URL, { clientProperties: { connection_name: queue } });
  const lost = signal();
  connection.on('error', (error) => console.error(`connection: ${error.message}`));
  connection.on('close', lost.give);
  try {
    const channel = await connection.createChannel();
    channel.on('error', (error) => console.error(`channel: ${error.message}`));
    channel.on('close', lost.give);
    await declare(channel);
    await channel.prefetch(100);
    await channel.consume(queue, (message) => (message ? take(channel, message) : lost.give()));
    console.error(`listening on ${queue}`);
    await Promise.race([enough.given, lost.given]);
    await channel.close().catch(() => {}); // after what was acknowledged
  } finally {
    await connection.close().catch(() => {});
  }
}

for (const name of ['SIGINT', 'SIGTERM']) {
  process.once(name, () => { stopping = true; enough.give(); });
}

for (let failures = 0; !stopping && ended < wanted;) {
  const began = Date.now();
  try {
    await session();
  } catch (error) {
    console.error(`not connected: ${error.message}`);
  }
  failures = Date.now() - began > 10_000 ? 0 : failures + 1;
  if (!stopping && ended < wanted) {
    const pause = signal();
    const timer = setTimeout(pause.give, Math.random() * Math.min(10_000, 100 * 2 ** failures));
    await Promise.race([enough.given, pause.given]);
    clearTimeout(timer);
  }
}
