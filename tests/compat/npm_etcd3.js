// The npm package etcd3 against a cluster of kvd: node npm_etcd3.js ENDPOINT[,ENDPOINT...]. Each check is an assertion; the
// last line printed is their number. Run by test_npm_etcd3.py where the package is installed.
'use strict';
const assert = require('assert');
const { Etcd3, Range } = require('etcd3');

const hosts = process.argv[2].split(',');
let checks = 0;

async function check(name, work) {
  try {
    await work();
  } catch (error) {
    error.message = `${name}: ${error.message}`;
    throw error;
  }
  checks += 1;
}

const next = (emitter, event) => new Promise((resolve, reject) => {
  emitter.once(event, resolve);
  if (event !== 'error') emitter.once('error', reject);
});

async function keys(client) {
  await check('put and get', async () => {
    await client.put('foo').value('bar');
    assert.strictEqual(await client.get('foo').string(), 'bar');
    assert.strictEqual(await client.get('absent').string(), null);
  });
  await check('json, numbers, buffers', async () => {
    await client.put('json').value(JSON.stringify({ a: [1, 2] }));
    assert.deepStrictEqual(await client.get('json').json(), { a: [1, 2] });
    await client.put('number').value(42);
    assert.strictEqual(await client.get('number').number(), 42);
    await client.put('bytes').value(Buffer.from([0, 255, 128]));
    assert.deepStrictEqual(await client.get('bytes').buffer(), Buffer.from([0, 255, 128]));
  });
  await check('previous value', async () => {
    const answer = await client.put('foo').value('baz').getPrevious();
    assert.strictEqual(answer.value.toString(), 'bar');
  });
  await check('prefixes, limits, order', async () => {
    for (const i of [3, 1, 2]) await client.put(`p/${i}`).value(`v${i}`);
    assert.deepStrictEqual(await client.getAll().prefix('p/').strings(), { 'p/1': 'v1', 'p/2': 'v2', 'p/3': 'v3' });
    assert.deepStrictEqual(await client.getAll().prefix('p/').sort('Key', 'Descend').limit(2).keys(), ['p/3', 'p/2']);
    assert.strictEqual(await client.getAll().prefix('p/').count(), 3);
    assert.strictEqual(await client.getAll().prefix('p/').sort('Mod', 'Ascend').limit(1).keys().then((k) => k[0]), 'p/3');
  });
  await check('history', async () => {
    const first = await client.put('h').value('1');
    await client.put('h').value('2');
    assert.strictEqual(await client.get('h').revision(first.header.revision).string(), '1');
  });
  await check('touch, exists, delete', async () => {
    await client.put('foo').touch();
    assert.strictEqual(await client.get('foo').exists(), true);
    const answer = await client.delete().key('foo');
    assert.strictEqual(answer.deleted, '1');
    assert.strictEqual((await client.delete().prefix('p/')).deleted, '3');
  });
  await check('a namespace', async () => {
    const inside = client.namespace('space/');
    await inside.put('k').value('v');
    assert.strictEqual(await client.get('space/k').string(), 'v');
    assert.deepStrictEqual(await inside.getAll().keys(), ['k']);
  });
}

async function transactions(client) {
  await check('if, then, else', async () => {
    const put = () => client.if('t', 'Create', '==', 0).then(client.put('t').value('made')).else(client.get('t')).commit();
    assert.strictEqual((await put()).succeeded, true);
    const second = await put();
    assert.strictEqual(second.succeeded, false);
    assert.strictEqual(second.responses[0].response_range.kvs[0].value.toString(), 'made');
  });
  await check('all targets of comparisons', async () => {
    await client.put('c').value('x');
    const answer = await client.if('c', 'Value', '==', 'x').and('c', 'Version', '==', 1).and('c', 'Mod', '>', 1)
      .and('c', 'Lease', '==', 0).then(client.delete().key('c')).commit();
    assert.strictEqual(answer.succeeded, true);
  });
  await check('software transactional memory, 8 at once', async () => {
    await client.put('sum').value('0');
    const add = () => client.stm({ retries: 100 }).transact(async (tx) => {
      const sum = await tx.get('sum').number();
      await tx.put('sum').value(sum + 1);
    });
    await Promise.all(Array.from({ length: 8 }, add));
    assert.strictEqual(await client.get('sum').number(), 8);
  });
}

async function watching(client) {
  await check('a watch sees puts and deletions', async () => {
    const watcher = await client.watch().key('w').create();
    const put = next(watcher, 'put');
    await client.put('w').value('1');
    const seen = await put;
    assert.strictEqual(seen.value.toString(), '1');
    const gone = next(watcher, 'delete');
    await client.delete().key('w');
    assert.strictEqual((await gone).key.toString(), 'w');
    await watcher.cancel();
  });
  await check('a watch of a prefix from a revision, with previous values', async () => {
    const first = await client.put('wp/1').value('a');
    await client.put('wp/1').value('b');
    const watcher = client.watch().prefix('wp/').startRevision(first.header.revision).withPreviousKV().watcher();
    const values = [];
    await new Promise((resolve, reject) => {
      watcher.on('error', reject);
      watcher.on('put', (kv, previous) => {
        values.push([kv.value.toString(), previous ? previous.value.toString() : null]);
        if (values.length === 2) resolve();
      });
    });
    assert.deepStrictEqual(values, [['a', null], ['b', 'a']]);
    await watcher.cancel();
  });
}

async function leases(client) {
  await check('a lease is granted, kept and revoked with its keys', async () => {
    const lease = client.lease(10);
    await lease.put('leased').value('x');
    const kept = await lease.keepaliveOnce();
    assert.strictEqual(kept.TTL, '10');
    const left = await client.leaseClient.leaseTimeToLive({ ID: await lease.grant(), keys: true });
    assert.deepStrictEqual(left.keys.map(String), ['leased']);
    await lease.revoke();
    assert.strictEqual(await client.get('leased').string(), null);
  });
  await check('a lock excludes', async () => {
    const order = [];
    const hold = (name) => client.lock('mutex').ttl(10).do(async () => {
      order.push(`${name} in`);
      await client.get('mutex-work').string();
      order.push(`${name} out`);
    });
    await hold('a');
    await hold('b');
    assert.deepStrictEqual(order, ['a in', 'a out', 'b in', 'b out']);
    const first = client.lock('mutex').ttl(10);
    await first.acquire();
    await assert.rejects(client.lock('mutex').ttl(10).acquire());
    await first.release();
  });
  await check('an election has a leader that is observed', async () => {
    const election = client.election('crown', 10);
    const campaign = election.campaign('candidate');
    await next(campaign, 'elected');
    assert.strictEqual(await election.leader(), 'candidate');
    const observer = await election.observe();
    if (observer.leader() !== 'candidate') await next(observer, 'change');
    assert.strictEqual(observer.leader(), 'candidate');
    await observer.cancel();
    await campaign.resign();
  });
}

async function maintenance(client) {
  await check('members and status', async () => {
    const list = await client.cluster.memberList({});
    assert.strictEqual(list.members.length, hosts.length);
    const status = await client.maintenance.status({});
    assert.ok(status.version.startsWith('3.'));
  });
  await check('compaction', async () => {
    const last = await client.put('compacted').value('1');
    await client.kv.compact({ revision: last.header.revision, physical: true });
    await assert.rejects(client.get('compacted').revision(2).string(), /compacted/);
  });
}

async function users(client) {
  await check('roles and users', async () => {
    const root = client.role('root');
    await root.create();
    const reader = client.role('reader');
    await reader.create();
    await reader.grant({ permission: 'Read', range: Range.prefix('r/') });
    assert.strictEqual((await reader.permissions()).length, 1);
    await client.user('root').create('top');
    await client.user('root').addRole('root');
    await client.user('ann').create('secret');
    await client.user('ann').addRole('reader');
    assert.deepStrictEqual((await client.getUsers()).map((u) => u.name).sort(), ['ann', 'root']);
  });
  await check('authentication', async () => {
    await client.put('r/1').value('x');
    await client.auth.authEnable({});
    const ann = new Etcd3({ hosts, auth: { username: 'ann', password: 'secret' } });
    const top = new Etcd3({ hosts, auth: { username: 'root', password: 'top' } });
    assert.strictEqual(await ann.get('r/1').string(), 'x');
    await assert.rejects(ann.put('r/1').value('y'), /permission denied/);
    await assert.rejects(new Etcd3({ hosts, auth: { username: 'ann', password: 'wrong' } }).get('r/1').string());
    await top.auth.authDisable({});
    ann.close();
    top.close();
  });
}

async function main() {
  const client = new Etcd3({ hosts });
  await keys(client);
  await transactions(client);
  await watching(client);
  await leases(client);
  await maintenance(client);
  await users(client);
  client.close();
  console.log(`${checks} checks passed`);
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
