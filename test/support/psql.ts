import { text } from 'node:stream/consumers';
import pg from 'pg';

/** Stands in for psql on a machine without it: runs each `-c`, or else standard input, in one session. */
const [connectionString, ...args] = process.argv.slice(2);
const given = args.filter((_, at) => args[at - 1] === '-c');
const client = new pg.Client({ connectionString });
await client.connect();
try {
  for (const statement of given.length > 0 ? given : [(await text(process.stdin)).replace(/^\\set .*$/gm, '')]) {
    const { rows = [] } = await client.query({ text: statement, rowMode: 'array' });
    for (const row of rows) {
      process.stdout.write(` ${row.map((value: unknown) => (value === true ? 't' : value)).join(' | ')}\n`);
    }
  }
} finally {
  await client.end();
}
