import { readFile } from 'node:fs/promises';
import { expect, test } from '@jest/globals';
import { rendered } from '../bench/report/saved-results.js';

test('the figures and pictures of the documents are those that the benchmark printed', async () => {
  const documents = await rendered();
  expect(documents.length).toBeGreaterThan(2);
  for (const [file, text] of documents) {
    expect({ file, text: await readFile(file, 'utf8') }).toEqual({ file, text });
  }
});
