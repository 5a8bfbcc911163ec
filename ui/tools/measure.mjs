// How soon each page shows something useful over a large store, and how soon everything; how long it is busy and answers nobody
// meanwhile, how many questions it asks and how many nodes it has; how a run of ten thousand steps scrolls; and whether a long
// session leaks: `npm run measure`. AGENTTRACER_MEASURE_URL names a server that runs, with pages and API at one address;
// AGENTTRACER_MEASURE_DIR a data directory, as `benches generate` makes one of a million runs; without either a store of
// AGENTTRACER_UI_RUNS is made. `npm run measure -- runs run` looks at these pages alone, and `npm run measure -- scroll leaks` at
// what is no page. Times are printed and judge nothing, since they depend on the load of the machine, which is printed beside
// them; counts do.
import { chromium } from '@playwright/test';
import { existsSync } from 'node:fs';
import { loadavg } from 'node:os';

import { namedRuns, RUNS } from '../tests/fixture/runs.mjs';
import { Server } from '../tests/fixture/server.mjs';

const TIMES = Number(process.env.AGENTTRACER_MEASURE_TIMES ?? 5);
const NODES = 1500;
/** How often a run is opened and closed, and from when on nothing may be added. */
const ROUNDS = 100;
const WARM_UP = 20;
const MOST_HEAP_GROWTH = 8_000_000;

const STEPS = 10_000;
/** Frames of a scroll, and how far it goes in each: as a wheel turns, and as a thumb is dragged. */
const FRAMES = 180;
const SPEEDS = [
  ['as a wheel turns', 100],
  ['in jumps of 1,440 px', 1440],
];

const directory = process.env.AGENTTRACER_MEASURE_DIR;
const address = process.env.AGENTTRACER_MEASURE_URL?.replace(/\/$/, '');
const named = process.argv.slice(2);
const isAsked = (name) => named.length === 0 || named.includes(name);
const executablePath = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser'].find((path) => path !== undefined && existsSync(path));
const server = address === undefined ? await Server.start({ directory }) : undefined;
const site = address ?? server.urls.ui;
/** The server of the run of ten thousand steps, where the store that is measured has none. */
let other;
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
const at = (numbers, share) => numbers.toSorted((a, b) => a - b)[Math.min(numbers.length - 1, Math.floor(numbers.length * share))];
const median = (numbers) => at(numbers, 0.5);
const ms = (time) => `${time.toFixed(0)} ms`;
const load = () => `load of the machine ${loadavg()[0].toFixed(1)}`;
const ask = async (path) => (await fetch(site + path)).json();
const problems = [];

/** Runs in the page from its first moment: notes when something useful is seen, when nothing is loading any more, and every long task. */
function watch(useful) {
  const seen = { usefulAt: undefined, allAt: undefined, tasks: [], nodes: 0 };
  globalThis.seen = seen;
  new PerformanceObserver((list) => seen.tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: 'longtask', buffered: true });
  // The frame after the one in which it is found: then it was painted.
  const look = () => {
    const isUseful = document.querySelector(useful) !== null;
    const isAll = isUseful && document.querySelector('.skeleton') === null;
    requestAnimationFrame(() => {
      if (isUseful) seen.usefulAt ??= performance.now();
      if (isAll) seen.allAt ??= performance.now();
      if (seen.allAt === undefined) look();
    });
  };
  requestAnimationFrame(look);
}

/** Opens a page in a browser that knows nothing yet. */
async function open(path, useful) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, timezoneId: 'UTC' });
  const page = await context.newPage();
  let questions = 0;
  page.on('request', (request) => (questions += new URL(request.url()).pathname.startsWith('/v1/') ? 1 : 0));
  await page.addInitScript(watch, useful);
  await page.goto(site + path);
  await page.waitForFunction(() => globalThis.seen.allAt !== undefined, undefined, { timeout: 60_000 });
  return { context, page, questions: () => questions };
}

try {
  if (server !== undefined && directory === undefined) await server.fill(Number(process.env.AGENTTRACER_UI_RUNS ?? 20_000));
  const { agents, total_runs } = await ask('/v1/agents');
  const agent = encodeURIComponent(agents[0].agent_id);
  const [run, another] = await ask('/v1/runs?view=summary&page_size=2');
  console.log(`${total_runs} runs; ${load()}`);
  /** A page, and what is useful on it; that there are too many clusters to be counted is an answer, too. */
  const PAGES = [
    ['overview', '/?from=all', '[aria-label="Numbers of the range"]'],
    ['runs', '/runs?from=all', '[role="table"][aria-label="Runs"] [role="row"]:nth-child(2)'],
    ['run', `/runs/${run.run_id}`, '[data-testid="waterfall"][data-window]'],
    ['compare-runs', `/compare?a=${run.run_id}&b=${another.run_id}`, '[aria-label="Steps of both runs"]'],
    ['compare-versions', `/versions?from=all&agent=${agent}`, '[aria-label="What was compared"]'],
    ['failures', '/failures?from=all', '[role="table"] [role="row"]:nth-child(2), [role="alert"] p'],
    ['decisions', '/decisions?from=all', '[aria-label="Decision types"] li'],
    ['signals', '/signals?from=all', '[role="table"] [role="row"]:nth-child(2)'],
    ['agents', '/agents?from=all', '[role="table"][aria-label="Agents"] [role="row"]:nth-child(2)'],
    ['agent', `/agents/${agent}?from=all`, '[aria-label="Numbers of the agent"]'],
    ['settings', '/settings', '[aria-label="Server"] dl'],
  ];
  for (const [name, path, useful] of PAGES.filter(([name]) => isAsked(name))) {
    const [times, all, longest, busy] = [[], [], [], []];
    let counts = '';
    for (let time = 0; time < TIMES; time++) {
      const { context, page, questions } = await open(path, useful);
      const seen = await page.evaluate(() => globalThis.seen);
      times.push(seen.usefulAt);
      all.push(seen.allAt);
      longest.push(Math.max(0, ...seen.tasks));
      busy.push(seen.tasks.reduce((sum, task) => sum + task, 0));
      if (time === 0) {
        await page.waitForLoadState('networkidle');
        counts = `${await page.evaluate(() => document.querySelectorAll('*').length)} nodes, ${questions()} questions in all`;
      }
      await context.close();
    }
    console.log(
      `${name}: useful after ${ms(median(times))} (${times.map((time) => time.toFixed(0)).join(', ')}), all after ${ms(median(all))}, ` +
        `longest task ${ms(median(longest))}, ${ms(median(busy))} in long tasks, ${counts}; ${load()}`,
    );
  }

  if (isAsked('scroll')) {
    const [largest] = await ask('/v1/runs?view=summary&page_size=1&sort=step_count&order=desc');
    let where = `${site}/runs/${largest.run_id}`;
    let steps = largest.step_count;
    if (steps < STEPS) {
      other = await Server.start();
      await other.send(namedRuns());
      [where, steps] = [`${other.urls.ui}/runs/${RUNS.tenThousand}`, STEPS];
    }
    const times = [];
    for (let time = 0; time < TIMES; time++) {
      const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, timezoneId: 'UTC' });
      const page = await context.newPage();
      await page.addInitScript(watch, '[data-testid="waterfall"][data-window]');
      await page.goto(where);
      await page.waitForFunction(() => globalThis.seen.usefulAt !== undefined, undefined, { timeout: 60_000 });
      // Usable is what answers: the first key selects the first step.
      await page.keyboard.press('j');
      await page.waitForSelector('[role="row"][aria-selected="true"]', { state: 'attached' });
      times.push(await page.evaluate(() => ({ usefulAt: globalThis.seen.usefulAt, usableAt: performance.now(), longest: Math.max(0, ...globalThis.seen.tasks) })));
      await page.keyboard.press('Escape');
      if (time === TIMES - 1) {
        for (const [what, by] of SPEEDS) {
          const { moved, views, frames, work, tasks } = await page.locator('[data-testid="waterfall"]').evaluate(scroll, { by, count: FRAMES });
          console.log(
            `scrolling it ${what}: ${moved} px, ${views} views; a frame takes ${at(frames, 0.5).toFixed(1)} ms, p95 ${at(frames, 0.95).toFixed(1)} ms, at most ${Math.max(...frames).toFixed(1)} ms; ` +
              `of that script and painting of the canvas ${at(work, 0.5).toFixed(1)} ms, p95 ${at(work, 0.95).toFixed(1)} ms; ${tasks.length} long tasks, ${ms(tasks.reduce((sum, task) => sum + task, 0))}; ${load()}`,
          );
          if (moved !== FRAMES * by || views < 20) problems.push(`The run did not scroll: ${moved} px, ${views} views.`);
        }
      }
      await context.close();
    }
    console.log(
      `a run of ${steps} steps: drawn after ${ms(median(times.map(({ usefulAt }) => usefulAt)))}, its first key answered after ${ms(median(times.map(({ usableAt }) => usableAt)))} ` +
        `(${times.map(({ usableAt }) => usableAt.toFixed(0)).join(', ')}), longest task ${ms(median(times.map(({ longest }) => longest)))}; ${load()}`,
    );
  }

  if (isAsked('leaks')) await leaks();
} finally {
  await browser.close();
  await other?.remove();
  // Somebody else's directory stays.
  await (directory === undefined ? server?.remove() : server?.stop());
}
for (const problem of problems) console.error(problem);
process.exit(problems.length === 0 ? 0 : 1);

/** Runs in the page: scrolls a view frame by frame, and notes how long each took, and the page's own work in it. */
async function scroll(view, { by, count }) {
  const [frames, work, tasks] = [[], [], []];
  const views = new Set();
  const observer = new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ duration }) => duration)));
  observer.observe({ entryTypes: ['longtask'] });
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  view.scrollTop = 0;
  await frame();
  await frame();
  const from = view.scrollTop;
  let last = await frame();
  for (let number = 0; number < count; number++) {
    view.scrollTop += by;
    const now = await frame();
    frames.push(now - last);
    last = now;
    // What runs in this frame is done when the browser comes to a task of its own after it.
    const begun = performance.now();
    await new Promise((done) => {
      const channel = new MessageChannel();
      channel.port1.onmessage = done;
      channel.port2.postMessage(undefined);
    });
    work.push(performance.now() - begun);
    views.add(view.dataset.window);
  }
  observer.disconnect();
  return { moved: view.scrollTop - from, views: views.size, frames, work, tasks };
}

/** Opens and closes runs for a long time: nothing may be left behind. */
async function leaks() {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  const session = await page.context().newCDPSession(page);
  const counted = async () => {
    await session.send('HeapProfiler.collectGarbage');
    const { metrics } = await session.send('Performance.getMetrics');
    const of = (name) => metrics.find((metric) => metric.name === name).value;
    return { heap: of('JSHeapUsedSize'), nodes: of('Nodes'), listeners: of('JSEventListeners') };
  };
  await session.send('Performance.enable');
  await page.goto(`${site}/runs?from=all`);
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
}
