export { default } from './stop-server.ts';
