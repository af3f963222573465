export { default } from '../../dist/test/support/stop-server.js';
