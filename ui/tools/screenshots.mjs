// Takes pictures of every page in both themes: `npm run screenshots`. The runs and the clock are those of the tests, so
// the pictures are the same until a page changes. Those of docs/screenshots/ are WebP, and small, since the history keeps all of
// them; `npm run screenshots -- sizes` takes three sizes of each besides, in ui/screenshots/, for whoever changes a page to look at.
import { chromium } from '@playwright/test';
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';

import { COMPARED } from '../tests/fixture/compared.mjs';
import { NOW, RUNS } from '../tests/fixture/runs.mjs';
import { Server } from '../tests/fixture/server.mjs';

const MOST_BYTES = 120_000;
const QUALITY = 82;
const allSizes = process.argv.includes('sizes');
const RUNS_IN_LIST = Number(process.env.AGENTTRACER_UI_RUNS ?? 20_000);
const day = `from=${new Date(NOW - 86_400_000).toISOString()}&to=${new Date(NOW).toISOString()}`;
const week = `from=${new Date(NOW - 7 * 86_400_000).toISOString()}&to=${new Date(NOW).toISOString()}`;

/** The name of each picture, and its page. */
const PAGES = [
  ['overview', `/?${day}`],
  ['runs', `/runs?${day}`],
  ['run', `/runs/${RUNS.failing}?step=997`],
  ['compare-runs', `/compare?a=${COMPARED.a}&b=${COMPARED.b}&row=7`],
  ['compare-versions', `/versions?agent=support-triage&base=2.4.0&candidate=2.4.1&${week}`],
  ['failures', `/failures?${day}`],
  ['decisions', `/decisions?${day}`],
  ['signals', `/signals?${day}`],
  ['agents', `/agents?${day}`],
  ['agent', `/agents/support-triage?${week}`],
  ['settings', '/settings'],
];
const SIZES = [
  [1600, 1000],
  [1280, 800],
  [390, 844],
];
const IN_DOCS = [1280, 800];

const all = new URL('../screenshots/', import.meta.url);
const shown = new URL('../../docs/screenshots/', import.meta.url);
await rm(all, { recursive: true, force: true });
await mkdir(all, { recursive: true });
await rm(shown, { recursive: true, force: true });
await mkdir(shown, { recursive: true });

const executablePath = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser'].find((path) => path !== undefined && existsSync(path));
const server = await Server.start();
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--force-color-profile=srgb', '--font-render-hinting=none'] });
let failed = false;

/** Opens a page, and waits until nothing is loading. */
async function open(context, url) {
  const page = await context.newPage();
  await page.clock.setFixedTime(NOW);
  await page.goto(url);
  await page.waitForLoadState('networkidle');
  await page.evaluate(() => document.fonts.ready);
  await page.waitForFunction(() => document.querySelector('.skeleton') === null);
  return page;
}

/** A browser of a theme, with a window of a size. */
async function contextOf(theme, [width, height]) {
  const context = await browser.newContext({ viewport: { width, height }, locale: 'en-GB', timezoneId: 'UTC', reducedMotion: 'reduce' });
  await context.addInitScript((theme) => localStorage.setItem('agenttracer.preferences', JSON.stringify({ theme })), theme);
  return context;
}

/** The picture as WebP, which Playwright itself does not write. */
async function webp(page) {
  const session = await page.context().newCDPSession(page);
  const { data } = await session.send('Page.captureScreenshot', { format: 'webp', quality: QUALITY });
  return Buffer.from(data, 'base64');
}

async function intoDocs(name, theme, page) {
  const picture = await webp(page);
  await writeFile(new URL(`${name}-${theme}.webp`, shown), picture);
  const over = picture.length > MOST_BYTES;
  failed ||= over;
  console.log(`${`${(picture.length / 1000).toFixed(0)} kB`.padStart(7)}  docs/screenshots/${name}-${theme}.webp${over ? '  OVER' : ''}`);
}

const locked = await Server.startWithKeys();
try {
  await server.fill(RUNS_IN_LIST);
  for (const theme of ['light', 'dark']) {
    const context = await contextOf(theme, IN_DOCS);
    for (const [name, path] of PAGES) {
      const page = await open(context, server.urls.ui + path);
      await intoDocs(name, theme, page);
      await page.close();
    }
    const out = await contextOf(theme, IN_DOCS);
    const page = await open(out, locked.urls.ui);
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await intoDocs('sign-in', theme, page);
    await out.close();
    await context.close();
    for (const size of allSizes ? SIZES : []) {
      const context = await contextOf(theme, size);
      for (const [name, path] of PAGES) {
        const page = await open(context, server.urls.ui + path);
        await page.screenshot({ path: new URL(`${name}-${theme}-${size[0]}.png`, all).pathname, animations: 'disabled', caret: 'hide' });
        await page.close();
      }
      await context.close();
    }
  }
} finally {
  await browser.close();
  await server.remove();
  await locked.remove();
}
if (failed) {
  console.error(`A picture in docs/ may have ${MOST_BYTES / 1000} kB.`);
  process.exit(1);
}
