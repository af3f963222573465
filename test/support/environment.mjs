import vm from 'node:vm';
import { TestEnvironment } from 'jest-environment-node';
import { loadSharedPackages } from './shared-packages.mjs';

/** What Jest makes for each test file, and what nothing runs in here. */
const unused = new WeakSet();

/**
 * Test files run in the context of their process. In one of its own, as Jest has it, a file could not share packages with
 * others: an error that `pg` throws would be no `Error` there.
 */
function runInContextOfProcess() {
  const { compileFunction, SourceTextModule, SyntheticModule } = vm;
  vm.SourceTextModule = class extends SourceTextModule {
    constructor(code, options) {
      super(code, withoutUnused(options));
    }
  };
  vm.SyntheticModule = class extends SyntheticModule {
    constructor(names, evaluate, options) {
      super(names, evaluate, withoutUnused(options));
    }
  };
  vm.compileFunction = (code, parameters, options) => compileFunction(code, parameters, withoutUnused(options));
}

function withoutUnused({ context, parsingContext, ...options } = {}) {
  return {
    ...options,
    ...(context === undefined || unused.has(context) ? {} : { context }),
    ...(parsingContext === undefined || unused.has(parsingContext) ? {} : { parsingContext }),
  };
}

runInContextOfProcess();

/**
 * Every test file has modules of its own, but shares the packages and the globals with the others of its process; what it
 * adds to the globals goes with it. Lets a file know in the end whether one of its tests failed: then its database is kept.
 */
export default class LapseTestEnvironment extends TestEnvironment {
  constructor(config, context) {
    super(config, context);
    unused.add(this.context);
    this.global = globalThis;
    this.exit = process.exit;
  }

  async setup() {
    await super.setup();
    await loadSharedPackages();
    this.globals = new Set(Reflect.ownKeys(globalThis));
  }

  async teardown() {
    // Jest puts its own in the way of it.
    process.exit = this.exit;
    for (const key of Reflect.ownKeys(globalThis)) {
      if (!this.globals.has(key)) {
        Reflect.deleteProperty(globalThis, key);
      }
    }
    await super.teardown();
  }

  handleTestEvent(event) {
    if (event.name === 'test_fn_failure' || event.name === 'hook_failure') {
      globalThis.someTestFailed = true;
    }
  }
}
