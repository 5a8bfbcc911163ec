// `npm run screenshots`: the pictures of docs/images, of the real binary with the runs of the tests. A page adds its line.
import { mkdir } from 'node:fs/promises';
import { chromium } from '@playwright/test';

import { NOW, RUNS } from '../tests/fixture/runs.mjs';
import { Server } from '../tests/fixture/server.mjs';

const PAGES = {
  run: `/runs/${RUNS.failing}?step=997`,
  runs: '/runs',
};

const out = new URL('../../docs/images/', import.meta.url).pathname;
await mkdir(out, { recursive: true });
const server = await Server.start();
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--force-color-profile=srgb'] });
try {
  await server.fill(Number(process.env.RUNS ?? 50_000));
  for (const theme of ['light', 'dark']) {
    const context = await browser.newContext({ baseURL: server.urls.ui, viewport: { width: 1600, height: 1000 }, timezoneId: 'UTC' });
    await context.addInitScript((theme) => localStorage.setItem('agenttracer.preferences', JSON.stringify({ theme })), theme);
    const page = await context.newPage();
    await page.clock.setFixedTime(NOW);
    for (const [name, path] of Object.entries(PAGES)) {
      await page.goto(path);
      await page.waitForLoadState('networkidle');
      await page.evaluate(() => document.fonts.ready);
      await page.screenshot({ path: `${out}${name}-${theme}.png` });
      console.log(`docs/images/${name}-${theme}.png`);
    }
    await context.close();
  }
} finally {
  await browser.close();
  await server.remove();
}
