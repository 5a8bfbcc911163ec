// What Lighthouse says of three pages on a desktop: `npm run lighthouse`, the median of three runs each. It measures
// time, so it belongs to `make prove` on a quiet machine and not to every change.
import { existsSync } from 'node:fs';
import lighthouse, { desktopConfig } from 'lighthouse';
import puppeteer from 'puppeteer-core';

import { NOW, RUNS } from '../tests/fixture/runs.mjs';
import { Server } from '../tests/fixture/server.mjs';

/** The least of each category, of 100. */
const LEAST = { performance: 95, accessibility: 100, 'best-practices': 100 };
const TIMES = 3;
const RUNS_IN_LIST = Number(process.env.AGENTTRACER_UI_RUNS ?? 20_000);
const range = `from=${new Date(NOW - 86_400_000).toISOString()}&to=${new Date(NOW).toISOString()}`;
const PAGES = [
  ['overview', `/?${range}`],
  ['runs', `/runs?${range}`],
  ['run', `/runs/${RUNS.failing}`],
];

const executablePath = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser'].find((path) => path !== undefined && existsSync(path));
const server = await Server.start();
const browser = await puppeteer.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
let failed = false;
try {
  await server.fill(RUNS_IN_LIST);
  for (const [name, path] of PAGES) {
    const results = [];
    for (let time = 0; time < TIMES; time++) {
      const page = await browser.newPage();
      const found = await lighthouse(server.urls.ui + path, { onlyCategories: Object.keys(LEAST), output: 'json' }, desktopConfig, page);
      await page.close();
      results.push(found.lhr);
    }
    const scores = Object.entries(LEAST).map(([category, least]) => {
      const score = Math.round(100 * median(results.map(({ categories }) => categories[category].score)));
      failed ||= score < least;
      return `${category} ${score}${score < least ? ` (under ${least})` : ''}`;
    });
    const ms = (audit) => Math.round(median(results.map(({ audits }) => audits[audit].numericValue)));
    console.log(`${name}: ${scores.join(', ')}; LCP ${ms('largest-contentful-paint')} ms, TBT ${ms('total-blocking-time')} ms, TTI ${ms('interactive')} ms`);
    for (const category of Object.keys(LEAST)) {
      for (const { id, weight } of results[0].categories[category].auditRefs) {
        const { score, title, displayValue = '' } = results[0].audits[id];
        if (weight > 0 && score !== null && score < 0.9) console.log(`  ${category}: ${title} ${displayValue}`);
      }
    }
  }
} finally {
  await browser.close();
  await server.remove();
}
process.exit(failed ? 1 : 0);
