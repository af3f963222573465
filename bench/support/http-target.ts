import { serveBareNest } from './bare-nest.mjs';
import { serveLapse } from './lapse.js';

/** A process with two applications: the service, and a bare one to hold it against. Tells where they listen. */
const app = await serveLapse(process.env.DATABASE_URL ?? '');
const lapse = (await app.getUrl()).replace('localhost', '127.0.0.1');
console.log(JSON.stringify({ lapse, bare: await serveBareNest(0) }));
