/**
 * Pages against pictures of before, which a person looks at when they change: `npm run journeys -- pages_look --update-snapshots`
 * takes them anew. Data, clock, fonts, size and zone are fixed, so that the same code paints the same; the pictures are small, of a
 * server of their own with a fixed number of runs.
 */

import { COMPARED, comparedRuns } from '../fixture/compared.mjs';
import { manyRuns, namedRuns, RUNS } from '../fixture/runs.mjs';
import { expect, NOW, Server, settled, test, useTheme } from './browser.ts';

const FEW = 600;
const DAY = `from=${new Date(NOW - 86_400_000).toISOString()}&to=${new Date(NOW).toISOString()}`;
const WEEK = `from=${new Date(NOW - 7 * 86_400_000).toISOString()}&to=${new Date(NOW).toISOString()}`;

const PAGES = [
  ['overview', `/?${DAY}`, 'light', 1280],
  ['runs', `/runs?${DAY}`, 'dark', 1280],
  ['run', `/runs/${RUNS.failing}?step=997`, 'light', 1600],
  ['run', `/runs/${RUNS.failing}?step=997`, 'dark', 1280],
  ['compare-runs', `/compare?a=${COMPARED.a}&b=${COMPARED.b}&row=7`, 'light', 1280],
  ['compare-versions', `/versions?agent=support-triage&base=2.4.0&candidate=2.4.1&${WEEK}`, 'dark', 1280],
  ['compare-versions', `/versions?agent=support-triage&base=2.4.0&candidate=2.4.1&${WEEK}`, 'light', 390],
  ['failures', `/failures?${DAY}`, 'light', 1280],
  ['decisions', `/decisions?${DAY}`, 'dark', 1280],
  ['agent', `/agents/support-triage?${WEEK}`, 'light', 1280],
  ['overview', `/?${DAY}`, 'dark', 390],
] as const;
const HEIGHTS = { 390: 844, 1280: 800, 1600: 1000 } as const;

const looks = test.extend<object, { few: Server }>({
  few: [
    async ({}, use) => {
      const server = await Server.start();
      // No run that goes on: when the server gives it up is a matter of its own clock.
      for (const runs of [manyRuns(FEW), namedRuns(), comparedRuns()]) await server.send(runs);
      await use(server);
      await server.remove();
    },
    { scope: 'worker', timeout: 120_000 },
  ],
  baseURL: async ({ few }, use) => use(few.urls.ui),
});
looks.use({ contextOptions: { reducedMotion: 'reduce' } });

for (const [name, path, theme, width] of PAGES) {
  looks(`${name} in ${theme} at ${width} px`, async ({ page }) => {
    await useTheme(page, theme);
    await page.setViewportSize({ width, height: HEIGHTS[width] });
    await page.goto(path);
    await settled(page);
    await expect(page).toHaveScreenshot(`${name}-${theme}-${width}.png`);
  });
}
