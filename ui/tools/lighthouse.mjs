// What Lighthouse says of every page, on a desktop and on a slowed-down phone: `npm run lighthouse`, the median of three
// runs each; `npm run lighthouse -- runs run` looks at these pages alone, AGENTTRACER_LIGHTHOUSE_TIMES=1 at each but once. It
// measures time, so it belongs to `make prove` on a quiet machine and not to every change.
import { existsSync } from 'node:fs';
import { loadavg } from 'node:os';
import lighthouse, { desktopConfig } from 'lighthouse';
import puppeteer from 'puppeteer-core';

import { COMPARED } from '../tests/fixture/compared.mjs';
import { NOW, RUNS } from '../tests/fixture/runs.mjs';
import { Server } from '../tests/fixture/server.mjs';

/** How each is set up, and the least of each category, of 100. */
const PRESETS = [
  ['desktop', desktopConfig, { performance: 95, accessibility: 100, 'best-practices': 100 }],
  ['phone', undefined, { performance: 85, accessibility: 100, 'best-practices': 100 }],
];
const TIMES = Number(process.env.AGENTTRACER_LIGHTHOUSE_TIMES ?? 3);
const RUNS_IN_LIST = Number(process.env.AGENTTRACER_UI_RUNS ?? 20_000);
const range = `from=${new Date(NOW - 86_400_000).toISOString()}&to=${new Date(NOW).toISOString()}`;
const ALL = [
  ['overview', `/?${range}`],
  ['runs', `/runs?${range}`],
  ['run', `/runs/${RUNS.failing}`],
  ['compare-runs', `/compare?a=${COMPARED.a}&b=${COMPARED.b}`],
  ['compare-versions', `/versions?agent=support-triage&base=2.4.0&candidate=2.4.1&${range}`],
  ['failures', `/failures?${range}`],
  ['decisions', `/decisions?${range}`],
  ['signals', `/signals?${range}`],
  ['agents', `/agents?${range}`],
  ['agent', `/agents/support-triage?${range}`],
  ['settings', '/settings'],
];
const named = process.argv.slice(2);
const PAGES = ALL.filter(([name]) => named.length === 0 || named.includes(name));

const executablePath = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser'].find((path) => path !== undefined && existsSync(path));
const server = await Server.start();
const browser = await puppeteer.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
let failed = false;
try {
  await server.fill(RUNS_IN_LIST);
  for (const [preset, config, least] of PRESETS) {
    for (const [name, path] of PAGES) {
      const results = [];
      for (let time = 0; time < TIMES; time++) {
        const page = await browser.newPage();
        const found = await lighthouse(server.urls.ui + path, { onlyCategories: Object.keys(least), output: 'json' }, config, page);
        await page.close();
        results.push(found.lhr);
      }
      const scores = Object.entries(least).map(([category, bound]) => {
        const score = Math.round(100 * median(results.map(({ categories }) => categories[category].score)));
        failed ||= score < bound;
        return `${category} ${score}${score < bound ? ` (under ${bound})` : ''}`;
      });
      const number = (audit) => median(results.map(({ audits }) => audits[audit].numericValue));
      const ms = (audit) => `${Math.round(number(audit))} ms`;
      console.log(
        `${preset}, ${name}: ${scores.join(', ')}; LCP ${ms('largest-contentful-paint')}, TBT ${ms('total-blocking-time')}, TTI ${ms('interactive')}, ` +
          `CLS ${number('cumulative-layout-shift').toFixed(3)}; load of the machine ${loadavg()[0].toFixed(1)}`,
      );
      for (const category of Object.keys(least)) {
        for (const { id, weight } of results[0].categories[category].auditRefs) {
          const { score, title, displayValue = '' } = results[0].audits[id];
          if (weight > 0 && score !== null && score < 0.9) console.log(`  ${category}: ${title} ${displayValue}`);
        }
      }
      for (const item of results[0].audits['layout-shifts']?.details?.items?.slice(0, 4) ?? []) {
        if (item.score > 0.01) console.log(`  moved by ${item.score.toFixed(3)}: ${item.node?.selector ?? item.node?.snippet ?? 'nobody knows what'}`);
      }
    }
  }
} finally {
  await browser.close();
  await server.remove();
}
process.exit(failed ? 1 : 0);
