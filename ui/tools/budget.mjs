// Fails when a page needs more script than it may: 170 kB gzip at its first load, 60 kB in a chunk that comes later.
import { readFileSync, rmSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const INITIAL = 170_000;
const LAZY = 60_000;

const dist = new URL('../dist/', import.meta.url);
const list = new URL('manifest.json', dist);
const manifest = JSON.parse(readFileSync(list, 'utf8'));
// It was written for this script; nobody asks the server for it.
rmSync(list);
const size = (file) => gzipSync(readFileSync(new URL(file, dist)), { level: 9 }).length;

/** All files that `key` imports at once. */
function files(key, found = new Set()) {
  const { file, imports = [] } = manifest[key];
  if (!found.has(file)) {
    found.add(file);
    for (const imported of imports) files(imported, found);
  }
  return found;
}

const entry = files('index.html');
const kB = (bytes) => `${(bytes / 1000).toFixed(1)} kB`.padStart(9);
let failed = false;
for (const [key, { file, isDynamicEntry }] of Object.entries(manifest)) {
  if (!isDynamicEntry) continue;
  const own = [...files(key)].filter((one) => !entry.has(one) && one.endsWith('.js'));
  const later = own.reduce((sum, one) => sum + size(one), 0);
  const initial = [...entry].filter((one) => one.endsWith('.js')).reduce((sum, one) => sum + size(one), 0) + later;
  const over = initial > INITIAL || size(file) > LAZY;
  failed ||= over;
  console.log(`${kB(initial)} at first, ${kB(later)} of its own  ${key}${over ? '  OVER' : ''}`);
}
if (failed) {
  console.error(`A page may need ${kB(INITIAL)} of script at first, and a chunk may have ${kB(LAZY)} (gzip).`);
  process.exit(1);
}
