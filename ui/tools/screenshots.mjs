// Takes pictures of every page in both themes: `npm run screenshots`. The runs and the clock are those of the tests, so
// the pictures are the same until a page changes. They are written to ui/screenshots/; those that docs/ shows, a handful,
// to docs/screenshots/, where each has to be small, since the history keeps all of them.
import { chromium } from '@playwright/test';
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';

import { COMPARED } from '../tests/fixture/compared.mjs';
import { NOW, RUNS } from '../tests/fixture/runs.mjs';
import { Server } from '../tests/fixture/server.mjs';

const MOST_BYTES = 200_000;
const RUNS_IN_LIST = Number(process.env.AGENTTRACER_UI_RUNS ?? 20_000);
const day = `from=${new Date(NOW - 86_400_000).toISOString()}&to=${new Date(NOW).toISOString()}`;
const week = `from=${new Date(NOW - 7 * 86_400_000).toISOString()}&to=${new Date(NOW).toISOString()}`;

/** The name of each picture, its page, and the theme in which docs/ shows it. */
const PAGES = [
  ['overview', `/?${day}`, 'light'],
  ['runs', `/runs?${day}`, 'light'],
  ['runs', `/runs?${day}`, 'dark'],
  ['run', `/runs/${RUNS.failing}?step=997`, 'light'],
  ['run', `/runs/${RUNS.failing}?step=997`, 'dark'],
  ['compare-runs', `/compare?a=${COMPARED.a}&b=${COMPARED.b}&row=7`, 'dark'],
  ['compare-versions', `/versions?agent=support-triage&base=2.4.0&candidate=2.4.1&${week}`, 'light'],
  ['failures', `/failures?${day}`, undefined],
  ['decisions', `/decisions?${day}`, undefined],
  ['signals', `/signals?${day}`, undefined],
  ['agents', `/agents?${day}`, undefined],
  ['agent', `/agents/support-triage?${week}`, undefined],
  ['settings', '/settings', undefined],
];
const SIZES = [
  [1600, 1000],
  [1280, 800],
  [390, 844],
];

/** Pictures in docs/ are a little smaller, for the sake of their bytes. */
const IN_DOCS = { width: 1200, height: 750 };

const all = new URL('../screenshots/', import.meta.url);
const shown = new URL('../../docs/screenshots/', import.meta.url);
await rm(all, { recursive: true, force: true });
await mkdir(all, { recursive: true });
await mkdir(shown, { recursive: true });

const executablePath = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser'].find((path) => path !== undefined && existsSync(path));
const server = await Server.start();
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--force-color-profile=srgb', '--font-render-hinting=none'] });
let failed = false;
try {
  await server.fill(RUNS_IN_LIST);
  for (const theme of ['light', 'dark']) {
    for (const [width, height] of SIZES) {
      const context = await browser.newContext({ viewport: { width, height }, locale: 'en-GB', timezoneId: 'UTC', reducedMotion: 'reduce' });
      const page = await context.newPage();
      await page.clock.setFixedTime(NOW);
      await page.addInitScript((theme) => localStorage.setItem('agenttracer.preferences', JSON.stringify({ theme })), theme);
      const taken = new Set();
      for (const [name, path, inDocs] of PAGES) {
        const isInDocs = inDocs === theme && width === 1280;
        if (taken.has(name) && !isInDocs) continue;
        taken.add(name);
        await page.goto(server.urls.ui + path);
        await page.waitForLoadState('networkidle');
        await page.evaluate(() => document.fonts.ready);
        await page.waitForFunction(() => document.querySelector('.skeleton') === null);
        const picture = await page.screenshot({ animations: 'disabled', caret: 'hide' });
        await writeFile(new URL(`${name}-${theme}-${width}.png`, all), picture);
        if (!isInDocs) continue;
        await page.setViewportSize(IN_DOCS);
        await page.waitForLoadState('networkidle');
        const small = await page.screenshot({ animations: 'disabled', caret: 'hide' });
        await page.setViewportSize({ width, height });
        await writeFile(new URL(`${name}-${theme}.png`, shown), small);
        const over = small.length > MOST_BYTES;
        failed ||= over;
        console.log(`${`${(small.length / 1000).toFixed(0)} kB`.padStart(7)}  docs/screenshots/${name}-${theme}.png${over ? '  OVER' : ''}`);
      }
      await context.close();
    }
  }
} finally {
  await browser.close();
  await server.remove();
}
if (failed) {
  console.error(`A picture in docs/ may have ${MOST_BYTES / 1000} kB.`);
  process.exit(1);
}
