// Checks an AsyncAPI document with the AsyncAPI project's own parser: node asyncapi.mjs FILE. What is a warning fails, too.
import { readFileSync } from 'node:fs';
import { DiagnosticSeverity, Parser } from '@asyncapi/parser';

const file = process.argv[2];
if (!file) {
  console.error('usage: node asyncapi.mjs FILE');
  process.exit(2);
}

const { document, diagnostics } = await new Parser().parse(readFileSync(file, 'utf8'), { source: file });
const wrong = diagnostics.filter((d) => d.severity <= DiagnosticSeverity.Warning);
for (const d of diagnostics) {
  console.error(`${file}:${d.range.start.line + 1}: ${d.code}: ${d.message} (${d.path.join('/')})`);
}
if (!document || wrong.length > 0) {
  process.exit(1);
}
console.log(`${file}: ${document.channels().all().length} channels, ${document.operations().all().length} operations, `
  + `${document.allMessages().all().length} messages`);
