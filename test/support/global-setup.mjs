// Jest would compile a .ts file here to CommonJS; from a module, Node's own import reads it as what it is.
export { default } from './start-server.ts';
