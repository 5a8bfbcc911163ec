import type { Page } from '@playwright/test';

import { expect, expectAccessible, RUNS, settled, test, useTheme } from './browser.ts';

const waterfall = (page: Page) => page.getByRole('grid', { name: 'Steps' });
const panel = (page: Page) => page.getByRole('complementary', { name: /^Step / });
const windowShown = async (page: Page) => {
  const [start, end] = ((await waterfall(page).getAttribute('data-window')) ?? '').split('..').map(Number);
  return { start: start ?? NaN, end: end ?? NaN };
};

test('from anywhere to the failing step by keyboard alone, in ten strokes', async ({ page }) => {
  await page.goto('/settings');
  await page.getByRole('heading', { level: 1, name: 'Settings' }).waitFor();
  let strokes = 0;
  const press = async (key: string) => {
    strokes++;
    await page.keyboard.press(key);
  };
  await press('g');
  await press('r');
  await expect(page.getByRole('heading', { level: 1, name: 'Runs' })).toBeVisible();
  await press('f');
  await expect(page).toHaveURL(/status=failure/);
  await expect(page.getByRole('table', { name: 'Runs', exact: true }).getByRole('row').nth(1)).toContainText('failure');
  await press('j');
  await press('Enter');
  await expect(page).toHaveURL(/\/runs\/[0-9a-f-]{36}/);
  await expect(page.getByRole('note', { name: 'Failure' })).toBeVisible();
  await press('f');
  await expect(panel(page)).toContainText('✕');
  await expect(page).toHaveURL(/step=\d+/);
  expect(strokes).toBeLessThanOrEqual(10);
});

test('from a search to the failing step by keyboard alone', async ({ page }) => {
  await page.goto('/runs');
  await settled(page);
  await page.keyboard.press('/');
  await page.keyboard.type('agent:support-triage steps:>900');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/q=agent/);
  await expect(page.getByText('1 run', { exact: true })).toBeVisible();
  for (const key of ['j', 'Enter']) await page.keyboard.press(key);
  await expect(page).toHaveURL(new RegExp(`/runs/${RUNS.failing}`));
  await expect(page.getByRole('note', { name: 'Failure' })).toBeVisible();
  await page.keyboard.press('f');
  await expect(panel(page)).toContainText('tickets.update timed out after 4 attempts');
  await expect(page).toHaveURL(/step=997/);
});

test('the banner says what failed and jumps there', async ({ page }) => {
  await page.goto(`/runs/${RUNS.failing}`);
  const banner = page.getByRole('note', { name: 'Failure' });
  await expect(banner).toContainText('tool/timeout');
  await expect(banner).toContainText('at step #997 tickets.update, attempt 4 of 4');
  await banner.getByRole('button', { name: /Jump to failure/ }).click();
  await expect(page).toHaveURL(/step=997/);
  const row = page.getByRole('row', { selected: true });
  await expect(row).toContainText('tickets.update');
  await expect(row).toContainText('attempt 4 of 4, failed, tool/timeout');
  // The selected row is really in view, and the axis shows its time.
  const { start, end } = await windowShown(page);
  expect(end - start).toBeLessThan(60_000);
  await page.goBack();
  await expect(panel(page)).toBeHidden();
});

test('a deep link opens at its step, with all attempts of the operation', async ({ page }) => {
  await page.goto(`/runs/${RUNS.failing}?step=995`);
  await expect(panel(page)).toContainText('Step #995 · 996 of 1,000 · tool · attempt 2 of 4');
  const attempts = panel(page).getByRole('region', { name: 'Attempts' });
  await expect(attempts.getByRole('listitem')).toHaveCount(4);
  await expect(panel(page)).toContainText('Back-off before');
  await attempts.getByRole('button').last().click();
  await expect(page).toHaveURL(/step=997/);
  await expect(panel(page).getByRole('region', { name: 'Decisions' })).toContainText('retry_budget_exhausted');
  await expect(panel(page).getByRole('region', { name: 'Quality signals' })).toContainText('max_retries_reached');
  await panel(page).getByRole('tab', { name: 'JSON' }).click();
  await expect(panel(page).getByRole('tabpanel')).toContainText('"retry_group"');
  await page.reload();
  await expect(panel(page).getByRole('tab', { name: 'JSON' })).toHaveAttribute('aria-selected', 'true');
});

test('the numbers are those of the server', async ({ page }) => {
  await page.goto(`/runs/${RUNS.failing}`);
  await settled(page);
  const latency = (await (await page.request.get(`/v1/runs/${RUNS.failing}/latency`)).json()) as {
    retries: { operations: number; attempts: number };
    by_step_type: { step_type: string; steps: number }[];
  };
  const numbers = page.getByLabel('The run in numbers');
  await expect(numbers).toContainText(`Retries${latency.retries.attempts - latency.retries.operations}`);
  for (const { step_type, steps } of latency.by_step_type) {
    await expect(page.getByRole('group', { name: 'Step types' }).getByRole('button', { name: step_type })).toContainText(String(steps));
  }
});

test.describe('where the time went', () => {
  test.use({ expectedErrors: /status of 503/ });
  test('may come late or not at all: the run is shown at once, and it can be asked for again', async ({ page }) => {
    let open = (): void => undefined;
    const gate = new Promise<void>((done) => (open = done));
    let asked = 0;
    await page.route('**/latency', async (route) => {
      asked++;
      await gate;
      await route.fulfill({ status: 503, json: { detail: 'Too much is asked' } });
    });
    await page.goto(`/runs/${RUNS.failing}?only=slow`);
    // Nothing was answered yet, and nothing will be while this looks.
    await expect(page.getByRole('note', { name: 'Failure' })).toContainText('tool/timeout');
    const numbers = page.getByLabel('The run in numbers');
    await expect(numbers).toContainText('Steps1,000');
    await page.getByRole('radio', { name: 'All' }).click();
    await expect(waterfall(page)).toHaveAttribute('aria-rowcount', '1001');
    expect(asked).toBe(1);

    open();
    const told = page.getByRole('alert').filter({ hasText: 'Some numbers are missing' });
    await expect(told).toContainText('could not be loaded: Too much is asked. The steps are all there.');
    await expect(numbers).toContainText('Retries—');
    await page.getByRole('radio', { name: '≥ p95' }).click();
    await expect(page.getByText('Which steps are slow is not known')).toBeVisible();
    await settled(page);
    await expectAccessible(page);

    await page.unroute('**/latency');
    await told.getByRole('button', { name: 'Try again' }).click();
    await expect(told).toBeHidden();
    await expect(numbers).not.toContainText('Retries—');
    await expect(waterfall(page)).toBeVisible();
  });
});

test('the axis follows the rows, and can be pinned and let go', async ({ page }) => {
  await page.goto(`/runs/${RUNS.failing}`);
  await settled(page);
  const first = await windowShown(page);
  await waterfall(page).evaluate((element) => (element.scrollTop = 400 * 26));
  await expect.poll(async () => (await windowShown(page)).start).toBeGreaterThan(first.end);
  await page.keyboard.press('a');
  await expect(page.getByRole('button', { name: 'Axis: pinned' })).toBeVisible();
  const whole = await windowShown(page);
  expect(whole.start).toBe(0);
  expect(whole.end).toBeGreaterThan(300_000);
  await page.keyboard.press('0');
  await expect(page.getByRole('button', { name: 'Axis: follows rows' })).toBeVisible();
  const map = page.getByRole('img', { name: /The whole run/ });
  const box = (await map.boundingBox()) ?? { x: 0, y: 0, width: 0, height: 0 };
  await page.mouse.move(box.x + box.width * 0.25, box.y + 20);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.5, box.y + 20, { steps: 4 });
  await page.mouse.up();
  await expect(page).toHaveURL(/t=\d+\.\.\d+/);
  const pinned = await windowShown(page);
  expect(pinned.start / whole.end).toBeCloseTo(0.25, 1);
  expect(pinned.end / whole.end).toBeCloseTo(0.5, 1);
  await page.mouse.click(box.x + box.width * 0.9, box.y + 20);
  await expect(page).not.toHaveURL(/t=/);
  await expect.poll(async () => (await windowShown(page)).start / whole.end).toBeGreaterThan(0.8);
});

test('steps are filtered, and the filter is in the address', async ({ page }) => {
  await page.goto(`/runs/${RUNS.failing}`);
  await settled(page);
  await page.keyboard.press('/');
  await page.keyboard.type('tickets.update');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/q=tickets.update/);
  await page.getByRole('radiogroup', { name: 'Only' }).getByRole('radio', { name: 'Failed' }).click();
  await expect(page).toHaveURL(/only=failed/);
  const rows = Number(await waterfall(page).getAttribute('aria-rowcount'));
  expect(rows).toBeLessThan(100);
  expect(rows).toBeGreaterThan(3);
  // A jump to what the filter hides takes the filter away.
  await page.getByRole('group', { name: 'Step types' }).getByRole('button', { name: 'plan' }).click();
  await expect(page.getByText('No step matches')).toBeVisible();
  await page.keyboard.press('f');
  await expect(page).toHaveURL(/step=997/);
  await expect(page).not.toHaveURL(/types=|only=|q=/);
});

test('keys go from step to step and from failure to failure', async ({ page }) => {
  await page.goto(`/runs/${RUNS.failing}`);
  await settled(page);
  await page.keyboard.press('j');
  await expect(page).toHaveURL(/step=0\b/);
  for (let step = 1; step <= 3; step++) await page.keyboard.press('j');
  await expect(page).toHaveURL(/step=3\b/);
  await page.keyboard.press('k');
  await expect(page).toHaveURL(/step=2\b/);
  await page.keyboard.press('p');
  await expect(page).toHaveURL(/step=997/);
  await page.keyboard.press('Escape');
  await expect(panel(page)).toBeHidden();
  await page.keyboard.press('n');
  await expect(panel(page)).toContainText(/attempt 1 of/);
  // Who goes back leaves the run; steps gone through by keys are no history.
  await page.keyboard.press('j');
  await page.keyboard.press('j');
});

test('the run is a table, its decisions, its records in the log, too', async ({ page }) => {
  await page.goto(`/runs/${RUNS.failing}?view=table`);
  await expect(page.getByRole('table', { name: 'Steps' }).getByRole('row').nth(1)).toContainText('+0 ms');
  await page.getByLabel('View').selectOption('decisions');
  await expect(page).toHaveURL(/view=decisions/);
  await expect(page.getByRole('region', { name: 'Decisions', exact: true })).toContainText('tool_selection');
  await page.getByLabel('View').selectOption('events');
  const records = page.getByRole('table', { name: 'Records in the log' });
  await expect(records).toContainText('run_started');
  const run = (await (await page.request.get(`/v1/runs/${RUNS.failing}`)).json()) as { position: number };
  await expect(records.getByRole('row').nth(1)).toContainText(String(run.position));
  await records.getByRole('row').nth(2).click();
  await expect(page.getByLabel(/^Record \d+/)).toContainText('"step_ended"');
});

test('a run of ten thousand steps is there soon, and scrolling it does bounded work', async ({ page }) => {
  await page.goto(`/runs/${RUNS.tenThousand}?step=5000`);
  await expect(page.getByRole('row', { selected: true })).toContainText('5000');
  await settled(page);
  const before = await page.evaluate(() => document.querySelectorAll('*').length);
  expect(before).toBeLessThan(700);
  const work = await waterfall(page).evaluate(async (element) => {
    const windows = new Set<string>();
    const tasks: number[] = [];
    new PerformanceObserver((list) => list.getEntries().forEach(({ duration }) => tasks.push(duration))).observe({ entryTypes: ['longtask'] });
    const from = element.scrollTop;
    for (let frame = 0; frame < 60; frame++) {
      element.scrollTop += 1440;
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      windows.add((element as HTMLElement).dataset.window ?? '');
    }
    return { moved: element.scrollTop - from, windows: windows.size, long: tasks.reduce((sum, ms) => sum + ms, 0), nodes: document.querySelectorAll('*').length };
  });
  // It really scrolled, and drew anew each time.
  expect(work.moved).toBeGreaterThan(60 * 1000);
  expect(work.windows).toBeGreaterThan(20);
  expect(work.nodes).toBeLessThan(before + 50);
  console.log(`60 jumps of 1,440 px: ${work.windows} windows, ${Math.round(work.long)} ms in long tasks, ${work.nodes} nodes`);
});

test('odd runs are shown as what they are', async ({ page }) => {
  await page.goto(`/runs/${RUNS.empty}`);
  await expect(page.getByText('This run has no steps')).toBeVisible();
  await expect(page.getByRole('note', { name: 'Failure' })).toContainText('cancelled before the first step');
  await page.goto(`/runs/${RUNS.skewed}?step=0`);
  await expect(panel(page)).toContainText('Clocks differ: starts before the run');
  await expect(page.getByRole('row', { selected: true })).toContainText('starts before the run');
  await page.goto(`/runs/${RUNS.recovered}`);
  await expect(page.getByRole('note', { name: 'Recovered from' })).toContainText('tool/timeout');
  await page.goto(`/runs/${RUNS.unicode}?step=0`);
  await expect(panel(page)).toContainText('計画');
  await page.getByRole('button', { name: 'About' }).click();
  await expect(page.getByRole('dialog', { name: 'About this run' })).toContainText('Values removed for privacy1');
  await page.goto(`/runs/${RUNS.partial}`);
  await expect(page.getByRole('note')).toContainText('retrieval/empty_retrieval');
});

test.describe('a run that is not there', () => {
  test.use({ expectedErrors: /status of 4(04|22)/ });
  test('says so, and what may have become of it', async ({ page }) => {
    await page.goto('/runs/00000000-0000-4000-8000-000000000000');
    await expect(page.getByText('There is no such run')).toBeVisible();
    await expect(page.getByText('Run 00000000-0000-4000-8000-000000000000 not found')).toBeVisible();
    await expect(page.getByText(/erased, or be older than the retention/)).toBeVisible();
    await expectAccessible(page);
    await page.goto('/runs/not-an-id');
    await expect(page.getByText('This is no run id')).toBeVisible();
  });
});

for (const theme of ['light', 'dark'] as const) {
  for (const [what, query] of Object.entries({
    run: '',
    'failing step': '?step=997',
    'table of steps': '?view=table&step=997',
    'decisions of a run': '?view=decisions',
    'records of a run': '?view=events',
    'filter that matches nothing': '?q=nothing',
  })) {
    test(`the ${what} can be used by everybody in ${theme}`, async ({ page }) => {
      await useTheme(page, theme);
      await page.goto(`/runs/${RUNS.failing}${query}`);
      await settled(page);
      await expectAccessible(page);
    });
  }
}
