// Writes a .br and a .gz beside each built file that gets smaller, so that the server compresses nothing.
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const dist = new URL('../dist', import.meta.url).pathname;

for (const entry of await readdir(dist, { recursive: true, withFileTypes: true })) {
  const path = join(entry.parentPath, entry.name);
  if (!entry.isFile() || /\.(br|gz)$/.test(entry.name)) continue;
  const bytes = await readFile(path);
  const options = { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } };
  for (const [end, small] of [
    ['br', brotliCompressSync(bytes, options)],
    ['gz', gzipSync(bytes, { level: 9 })],
  ]) {
    if (small.length < bytes.length * 0.95) await writeFile(`${path}.${end}`, small);
  }
}
