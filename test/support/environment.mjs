import { TestEnvironment } from 'jest-environment-node';

/** Lets a test file know in the end whether one of its tests failed: then its database is kept. */
export default class LapseTestEnvironment extends TestEnvironment {
  handleTestEvent(event) {
    if (event.name === 'test_fn_failure' || event.name === 'hook_failure') {
      this.global.someTestFailed = true;
    }
  }
}
