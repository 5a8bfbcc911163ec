// How soon each page shows something useful over a large store, how many questions it asks for that, how many nodes the list
// has, and whether a long session leaks: `npm run measure`. AGENTTRACER_MEASURE_DIR names a data directory, as `benches generate`
// makes one of a million runs; without it a store of AGENTTRACER_UI_RUNS is made. Times are printed and judge nothing, since they
// depend on the load of the machine, which is printed beside them; counts do.
import { chromium } from '@playwright/test';
import { existsSync } from 'node:fs';
import { loadavg } from 'node:os';

import { Server } from '../tests/fixture/server.mjs';

const TIMES = Number(process.env.AGENTTRACER_MEASURE_TIMES ?? 5);
const NODES = 1500;
/** How often a run is opened and closed, and from when on nothing may be added. */
const ROUNDS = 100;
const WARM_UP = 20;
const MOST_HEAP_GROWTH = 8_000_000;

const directory = process.env.AGENTTRACER_MEASURE_DIR;
const executablePath = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser'].find((path) => path !== undefined && existsSync(path));
const server = await Server.start({ directory });
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
const ask = async (path) => (await fetch(server.urls.query + path)).json();
const problems = [];
try {
  if (directory === undefined) await server.fill(Number(process.env.AGENTTRACER_UI_RUNS ?? 20_000));
  const { agents, total_runs } = await ask('/v1/agents');
  const agent = encodeURIComponent(agents[0].agent_id);
  const [run, other] = await ask('/v1/runs?view=summary&page_size=2');
  console.log(`${total_runs} runs; load of the machine ${loadavg()[0].toFixed(1)}`);
  /** A page, and what is useful on it; that there are too many clusters to be counted is an answer, too. */
  const PAGES = [
    ['overview', '/?from=all', '[aria-label="Numbers of the range"]'],
    ['runs', '/runs?from=all', '[role="table"][aria-label="Runs"] [role="row"]:nth-child(2)'],
    ['run', `/runs/${run.run_id}`, '[data-testid="waterfall"]'],
    ['compare-runs', `/compare?a=${run.run_id}&b=${other.run_id}`, '[aria-label="Steps of both runs"]'],
    ['compare-versions', `/versions?from=all&agent=${agent}`, '[aria-label="What was compared"]'],
    ['failures', '/failures?from=all', '[role="table"] [role="row"]:nth-child(2), [role="alert"]'],
    ['decisions', '/decisions?from=all', '[aria-label="Decision types"] li'],
    ['signals', '/signals?from=all', '[role="table"] [role="row"]:nth-child(2)'],
    ['agents', '/agents?from=all', '[role="table"][aria-label="Agents"] [role="row"]:nth-child(2)'],
    ['agent', `/agents/${agent}?from=all`, '[aria-label="Numbers of the agent"]'],
    ['settings', '/settings', '[aria-label="Server"] dl'],
  ];
  for (const [name, path, useful] of PAGES) {
    const times = [];
    let questions = 0;
    for (let time = 0; time < TIMES; time++) {
      const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, timezoneId: 'UTC' });
      const page = await context.newPage();
      if (time === 0) page.on('request', (request) => (questions += new URL(request.url()).pathname.startsWith('/v1/') ? 1 : 0));
      // Noted in the page, at the frame that shows it: what asks for it from here would come later.
      await page.addInitScript((useful) => {
        const look = () => {
          if (document.querySelector(useful) === null) requestAnimationFrame(look);
          else requestAnimationFrame(() => (globalThis.usefulAt = performance.now()));
        };
        requestAnimationFrame(look);
      }, useful);
      await page.goto(server.urls.ui + path);
      await page.waitForFunction(() => globalThis.usefulAt !== undefined, undefined, { timeout: 60_000 });
      times.push(await page.evaluate(() => globalThis.usefulAt));
      if (time === 0) await page.waitForLoadState('networkidle');
      await context.close();
    }
    console.log(`${name}: useful after ${median(times).toFixed(0)} ms (${times.map((time) => time.toFixed(0)).join(', ')}), ${questions} questions in all`);
  }

  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  const session = await page.context().newCDPSession(page);
  const counted = async () => {
    await session.send('HeapProfiler.collectGarbage');
    const { metrics } = await session.send('Performance.getMetrics');
    const of = (name) => metrics.find((metric) => metric.name === name).value;
    return { heap: of('JSHeapUsedSize'), nodes: of('Nodes'), listeners: of('JSEventListeners') };
  };
  await session.send('Performance.enable');
  await page.goto(`${server.urls.ui}/runs?from=all`);
  const table = page.locator('[role="table"][aria-label="Runs"]');
  await table.locator('[role="row"]').nth(1).waitFor();
  let most = 0;
  let warm;
  for (let round = 1; round <= ROUNDS; round++) {
    await table.evaluate((element, round) => (element.parentElement.scrollTop = (round % 40) * 400), round);
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await page.locator('[data-testid="waterfall"]').waitFor();
    await page.goBack();
    await table.locator('[role="row"]').nth(1).waitFor();
    most = Math.max(most, await page.evaluate(() => document.querySelectorAll('*').length));
    if (round === WARM_UP) warm = await counted();
  }
  const end = await counted();
  const mb = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
  console.log(`the list: at most ${most} nodes`);
  console.log(
    `runs opened and closed ${ROUNDS} times: heap ${mb(warm.heap)} after ${WARM_UP}, ${mb(end.heap)} after ${ROUNDS}; ` +
      `nodes ${warm.nodes} and ${end.nodes}, listeners ${warm.listeners} and ${end.listeners}`,
  );
  if (most > NODES) problems.push(`The list has ${most} nodes, and may have ${NODES}.`);
  if (end.heap - warm.heap > MOST_HEAP_GROWTH) problems.push(`The heap grew by ${mb(end.heap - warm.heap)}, and may by ${mb(MOST_HEAP_GROWTH)}.`);
  if (end.listeners > warm.listeners * 1.5 + 100) problems.push('Listeners are left behind.');
} finally {
  await browser.close();
  // Somebody else's directory stays.
  await (directory === undefined ? server.remove() : server.stop());
}
for (const problem of problems) console.error(problem);
process.exit(problems.length === 0 ? 0 : 1);
