/**
 * What pages may cost, in counts that are the same on a loaded machine: script, nodes, and the time in which the page
 * answers nobody. Each figure is printed.
 */

import { gzipSync } from 'node:zlib';
import type { Page } from '@playwright/test';

import { COMPARED } from '../fixture/compared.mjs';
import { expect, MANY, RUNS, settled, test } from './browser.ts';

/** Script of a page at its first load, gzip. */
const SCRIPT_BYTES = 170_000;
const NODES = 1500;
/** Of sixty jumps over a long table: a page that paints what is seen needs less than that even on a machine under load. */
const LONG_TASK_MS = 3000;

const PAGES = ['/', '/runs', `/runs/${RUNS.failing}`, `/compare?a=${COMPARED.a}&b=${COMPARED.b}`, '/versions', '/failures', '/decisions', '/signals', '/agents', '/agents/support-triage', '/settings'];

const nodes = (page: Page) => page.evaluate(() => document.querySelectorAll('*').length);

for (const path of PAGES) {
  test(`the script of ${path.split('?')[0] ?? ''}`, async ({ page }) => {
    const sizes: Promise<number>[] = [];
    page.on('response', (response) => {
      if (response.request().resourceType() === 'script') sizes.push(response.body().then((body) => gzipSync(body, { level: 9 }).length));
    });
    await page.goto(path);
    await settled(page);
    const sum = (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
    console.log(`${path.split('?')[0] ?? ''}: ${(sum / 1000).toFixed(1)} kB of script in ${sizes.length} files, ${await nodes(page)} nodes`);
    expect(sizes.length).toBeGreaterThan(0);
    expect(sum).toBeLessThanOrEqual(SCRIPT_BYTES);
  });
}

/** Scrolls by `by` px sixty times: how far it came, how often something else was seen, how long the page was busy. */
async function scroll(page: Page, table: string, by: number) {
  return page.locator(table).evaluate(async (table, by) => {
    let view = table as HTMLElement;
    while (getComputedStyle(view).overflowY !== 'auto' && view.parentElement !== null) view = view.parentElement;
    const seen = new Set<string>();
    let busy = 0;
    const observer = new PerformanceObserver((list) => list.getEntries().forEach(({ duration }) => (busy += duration)));
    observer.observe({ entryTypes: ['longtask'] });
    const from = view.scrollTop;
    let most = 0;
    for (let jump = 0; jump < 60; jump++) {
      view.scrollTop += by;
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      // A table of rows says in its first row what is seen; the waterfall, which is painted, in an attribute.
      seen.add(view.dataset.window ?? view.querySelectorAll('[role="row"]')[1]?.getAttribute('aria-rowindex') ?? '');
      most = Math.max(most, document.querySelectorAll('*').length);
    }
    observer.disconnect();
    return { moved: view.scrollTop - from, seen: seen.size, busy: Math.round(busy), most };
  }, by);
}

const LONG = [
  ['a run of ten thousand steps', `/runs/${RUNS.tenThousand}`, '[data-testid="waterfall"]'],
  ['a comparison with ten thousand steps', `/compare?a=${RUNS.tenThousand}&b=${RUNS.failing}&all=1`, '[aria-label="Steps of both runs"]'],
] as const;
for (const [name, path, table] of LONG) {
  test(`scrolling ${name} does bounded work`, async ({ page }) => {
    await page.goto(path);
    await settled(page);
    await expect(page.locator(table)).toBeVisible();
    const { moved, seen, busy, most } = await scroll(page, table, 1440);
    console.log(`${name}: ${moved} px in 60 jumps, ${seen} views, ${busy} ms in long tasks, at most ${most} nodes`);
    // A page that does not scroll is fast, too.
    expect(moved).toBe(60 * 1440);
    expect(seen).toBeGreaterThan(20);
    expect(busy).toBeLessThanOrEqual(LONG_TASK_MS);
    expect(most).toBeLessThanOrEqual(NODES);
  });
}

test(`the list of ${MANY} runs holds no more than what is seen`, async ({ page }) => {
  await page.goto('/runs?from=all');
  await settled(page);
  const table = '[role="table"][aria-label="Runs"]';
  const first = await nodes(page);
  const { seen, most } = await scroll(page, table, 800);
  // It may wait for its next page; it really scrolled all the same.
  expect(seen).toBeGreaterThan(3);
  console.log(`the list: ${first} nodes at first, at most ${most} while it is scrolled, ${seen} views`);
  expect(Math.max(first, most)).toBeLessThanOrEqual(NODES);
});
