// Checks the words of comments and string literals below src with the list in .textlintrc.json: npm run prose:src.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createLinter, loadTextlintrc } from 'textlint';
import ts from 'typescript';

const linter = createLinter({ descriptor: await loadTextlintrc() });
let count = 0;
for (const name of (await readdir('src', { recursive: true })).filter((name) => name.endsWith('.ts')).sort()) {
  const file = join('src', name);
  const { messages } = await linter.lintText(proseOf(await readFile(file, 'utf8')), `${file}.txt`);
  for (const { line, column, message } of messages) {
    process.stdout.write(`${file}:${line}:${column} ${message}\n`);
  }
  count += messages.length;
}
process.stdout.write(`${count} ${count === 1 ? 'term' : 'terms'} to replace\n`);
process.exitCode = count > 0 ? 1 : 0;

/** The source with everything but comments and strings replaced by spaces, so that positions stay the same. */
function proseOf(source) {
  const prose = source.replace(/[^\n]/g, ' ').split('');
  const keep = (start, end) => {
    for (let at = start; at < end; at += 1) {
      prose[at] = source[at];
    }
  };
  const sourceFile = ts.createSourceFile('source.ts', source, ts.ScriptTarget.Latest, true);
  const visit = (node) => {
    const comments = [
      ...(ts.getLeadingCommentRanges(source, node.getFullStart()) ?? []),
      ...(ts.getTrailingCommentRanges(source, node.getEnd()) ?? []),
    ];
    for (const { pos, end } of comments) {
      keep(pos + 2, end);
    }
    if (ts.isStringLiteralLike(node) || ts.isTemplateLiteralToken(node)) {
      keep(node.getStart() + 1, node.getEnd() - 1);
    }
    ts.forEachChild(node, visit);
  };
  visit(sourceFile);
  return prose.join('');
}
