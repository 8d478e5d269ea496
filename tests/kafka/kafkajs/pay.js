// A service of another team: reads `subscription.created`, answers with `payment.completed`. Knows JSON and nothing of us.
const { randomUUID } = require('node:crypto');
const { Kafka, logLevel, Partitioners } = require('kafkajs');

const [brokers, prefix] = process.argv.slice(2);
const kafka = new Kafka({ clientId: 'billing', brokers: brokers.split(','), logLevel: logLevel.ERROR });
const consumer = kafka.consumer({ groupId: 'billing-group', maxWaitTimeInMs: 100 });
const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });

async function pay({ message }) {
  const event = JSON.parse(message.value.toString());
  await producer.send({
    topic: `${prefix}payment.completed`,
    messages: [{
      key: event.subscriptionId,
      value: JSON.stringify({
        id: randomUUID(),
        timestamp: new Date(),
        transactionId: randomUUID(),
        userId: event.subscriberId,
        amount: event.amount,
        type: 'subscription',
        metadata: { subscriptionId: event.subscriptionId },
      }),
    }],
  });
  console.log(JSON.stringify({ key: message.key.toString(), ...event }));
  setImmediate(async () => { await consumer.disconnect(); await producer.disconnect(); });
}

(async () => {
  await producer.connect();
  await consumer.connect();
  await consumer.subscribe({ topic: `${prefix}subscription.created`, fromBeginning: true });
  await consumer.run({ eachMessage: pay });
})().catch((error) => { console.error(error); process.exit(1); });
