import type { Page } from '@playwright/test';

import { expect, expectAccessible, NOW, settled, test, useTheme } from './browser.ts';

const table = (page: Page) => page.getByRole('table', { name: 'Runs', exact: true });
const rows = (page: Page) => table(page).getByRole('row').filter({ has: page.getByRole('cell') });
const totalRuns = (page: Page) => page.getByRole('status').filter({ hasText: /^(at least )?[\d,]+ runs?$/ });
const facet = (page: Page, group: string, value: string) =>
  page.getByRole('group', { name: group }).getByRole('checkbox', { name: value });

/** How many runs the server says there are, for the same question. */
async function counted(page: Page, query: string): Promise<number> {
  const response = await page.request.get(`/v1/stats?${query}`);
  return ((await response.json()) as { total_runs: number }).total_runs;
}

const DAY = `start_time=${new Date(NOW - 86_400_000 + 60_000).toISOString()}&end_time=${new Date(NOW + 60_000 - 1).toISOString()}`;

test('a filter is in the address, outlives a reload, and goes with back and forward', async ({ page }) => {
  await page.goto('/runs');
  await facet(page, 'Status', 'failure').check();
  await expect(page).toHaveURL(/status=failure/);
  await facet(page, 'Agent', 'support-triage').check();
  await expect(page).toHaveURL(/agent=support-triage/);
  const failures = await counted(page, `${DAY}&status=failure&agent_id=support-triage`);
  expect(failures).toBeGreaterThan(20);
  await expect(totalRuns(page)).toHaveText(`${failures.toLocaleString('en-US')} runs`);
  await expect(rows(page).first()).toContainText('failure');

  const before = await rows(page).allInnerTexts();
  await page.reload();
  await settled(page);
  await expect(facet(page, 'Status', 'failure')).toBeChecked();
  expect(await rows(page).allInnerTexts()).toEqual(before);

  await page.goBack();
  await expect(page).not.toHaveURL(/agent=/);
  await expect(facet(page, 'Agent', 'support-triage')).not.toBeChecked();
  await page.goForward();
  await expect(facet(page, 'Agent', 'support-triage')).toBeChecked();
  // A filter that is set still shows its other values, with the numbers that they would bring.
  await expect(facet(page, 'Agent', 'code-reviewer')).toBeVisible();

  await page.getByRole('button', { name: 'Remove status failure' }).click();
  await expect(page).not.toHaveURL(/status=/);
  await page.getByRole('button', { name: 'Clear all' }).click();
  await expect(page).toHaveURL(/\/runs$/);
});

test('a drag over the histogram is a time range, by pointer and by keyboard', async ({ page }) => {
  await page.goto('/runs');
  await settled(page);
  const chart = page.getByRole('slider', { name: /Runs over time/ });
  const box = (await chart.boundingBox()) ?? { x: 0, y: 0, width: 0, height: 0 };
  await page.mouse.move(box.x + box.width * 0.5, box.y + 40);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.7, box.y + 40, { steps: 5 });
  await page.mouse.up();
  await expect(page).toHaveURL(/from=2026-11-2\d.*&to=2026-11-22/);
  const { searchParams } = new URL(page.url());
  const [from, to] = ['from', 'to'].map((name) => Date.parse(searchParams.get(name) ?? ''));
  expect((to ?? 0) - (from ?? 0)).toBeGreaterThan(3 * 3_600_000);
  expect((to ?? 0) - (from ?? 0)).toBeLessThan(8 * 3_600_000);
  await settled(page);
  const inRange = await counted(page, `start_time=${searchParams.get('from') ?? ''}&end_time=${new Date((to ?? 0) - 1).toISOString()}`);
  await expect(totalRuns(page)).toHaveText(`${inRange.toLocaleString('en-US')} runs`);

  await chart.focus();
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('Shift+ArrowRight');
  await page.keyboard.press('Shift+ArrowRight');
  await page.keyboard.press('Enter');
  await expect(page).not.toHaveURL(new RegExp(`to=${encodeURIComponent(searchParams.get('to') ?? '').replaceAll('%3A', ':')}`));
  await page.goBack();
  await page.goBack();
  await expect(page).toHaveURL(/\/runs$/);
});

test('the search line completes fields and values', async ({ page }) => {
  await page.goto('/runs');
  await settled(page);
  await page.keyboard.press('/');
  const line = page.getByRole('combobox', { name: 'Search runs' });
  await expect(line).toBeFocused();
  await page.keyboard.type('ag');
  await expect(page.getByRole('option', { name: /^agent:/ })).toBeVisible();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await expect(line).toHaveValue('agent:');
  await page.keyboard.type('code-r');
  await expect(page.getByRole('option', { name: /code-reviewer/ })).toBeVisible();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/q=agent:code-reviewer/);
  await page.keyboard.type('-status:success');
  await page.keyboard.press('Enter');
  const wanted = await counted(page, `${DAY}&agent_id=code-reviewer&q=-status:success`);
  await expect(totalRuns(page)).toHaveText(`${wanted.toLocaleString('en-US')} runs`);
});

test.describe('a wrong line', () => {
  // The browser itself logs an answer of 422.
  test.use({ expectedErrors: /status of 422/ });
  test('is told where it is wrong', async ({ page }) => {
    await page.goto('/runs?q=agent:');
    await expect(page.getByRole('alert').filter({ hasText: /column 7: a value is missing/ })).toBeVisible();
    const line = page.getByRole('combobox', { name: 'Search runs' });
    await expect(line).toHaveAttribute('aria-invalid', 'true');
    await line.fill('durations:>2s');
    await page.keyboard.press('Enter');
    await expect(page.getByRole('alert').filter({ hasText: 'column 1: unknown field' })).toBeVisible();
    await line.fill('duration:>2s');
    await page.keyboard.press('Enter');
    await expect(line).not.toHaveAttribute('aria-invalid');
    await expect(rows(page).first()).toBeVisible();
  });
});

test('a run is looked at beside the list, and opened from there', async ({ page }) => {
  await page.goto('/runs?status=failure');
  await settled(page);
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  await page.keyboard.press(' ');
  const peek = page.getByRole('complementary', { name: 'Run in short' });
  await expect(peek.getByRole('link', { name: /Open run/ })).toBeVisible();
  const id = new URL(page.url()).searchParams.get('peek') ?? '';
  await expect(peek).toContainText(id);
  // The panel goes with the row, without a step of the history for each.
  await page.keyboard.press('j');
  await expect(page).not.toHaveURL(new RegExp(id));
  await page.keyboard.press('k');
  await expect(page).toHaveURL(new RegExp(id));
  await expectAccessible(page);
  await page.keyboard.press('Escape');
  await expect(peek).toBeHidden();
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(new RegExp(`/runs/${id}`));
  await page.goBack();
  await expect(page).toHaveURL(/\/runs\?status=failure/);
});

test('two runs are selected and compared', async ({ page }) => {
  await page.goto('/runs');
  await settled(page);
  await page.keyboard.press('j');
  await page.keyboard.press('x');
  await expect(page.getByRole('button', { name: 'Select one more to compare' })).toBeDisabled();
  await page.keyboard.press('j');
  await page.keyboard.press('x');
  const picked = new URL(page.url()).searchParams.getAll('pick');
  expect(picked).toHaveLength(2);
  await page.keyboard.press('c');
  await expect(page).toHaveURL(new RegExp(`/compare\\?.*a=${picked[0] ?? ''}&b=${picked[1] ?? ''}`));
});

test('a view is saved under a name, and its link shows the same to somebody else', async ({ page, browser, baseURL }) => {
  await page.goto('/runs?status=failure&env=production&sort=duration_ms');
  await settled(page);
  const shown = await rows(page).allInnerTexts();
  await page.getByRole('button', { name: 'Views' }).click();
  await page.getByLabel('Save what is shown as').fill('Slow failures');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  const link = page.getByRole('list', { name: 'Saved views' }).getByRole('link', { name: 'Slow failures' });
  const href = (await link.getAttribute('href')) ?? '';
  await page.goto('/runs');
  await page.getByRole('button', { name: 'Views' }).click();
  await link.click();
  await expect(page).toHaveURL(/status=failure&sort=duration_ms|sort=duration_ms/);
  // The palette knows it, too.
  await page.goto('/agents');
  await settled(page);
  await page.keyboard.press('Control+k');
  await expect(page.getByRole('combobox', { name: 'Command' })).toBeFocused();
  await page.keyboard.type('slow fail');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/sort=duration_ms/);

  const stranger = await browser.newContext({ baseURL });
  const other = await stranger.newPage();
  await other.clock.setFixedTime(NOW);
  await other.goto(href);
  await settled(other);
  expect(await rows(other).allInnerTexts()).toEqual(shown);
  await stranger.close();
});

test('the list holds what is in view, however far it is scrolled', async ({ page }) => {
  await page.goto('/runs?from=all');
  await settled(page);
  for (let screen = 0; screen < 20; screen++) {
    const loaded = page.waitForResponse((response) => response.url().includes('/v1/runs?'), { timeout: 5000 }).catch(() => undefined);
    await table(page).evaluate((element) => {
      const view = element.parentElement;
      if (view !== null) view.scrollTop = view.scrollHeight;
    });
    await loaded;
  }
  await settled(page);
  const indices = await table(page)
    .getByRole('row')
    .evaluateAll((all) => all.map((row) => Number(row.getAttribute('aria-rowindex'))));
  expect(Math.max(...indices)).toBeGreaterThan(1000);
  const nodes = await page.evaluate(() => document.querySelectorAll('*').length);
  expect(nodes).toBeLessThanOrEqual(1500);
});

test('what matches nothing says which filter, and how to go on', async ({ page }) => {
  await page.goto('/runs?agent=nobody');
  await expect(page.getByText('No run matches')).toBeVisible();
  await expect(page.getByText('agent nobody').first()).toBeVisible();
  await page.getByRole('button', { name: 'Clear the filters' }).click();
  await expect(rows(page).first()).toBeVisible();
});

test('the range and the zone stay from page to page', async ({ page }) => {
  await page.goto('/runs?from=-7d&tz=Asia/Kolkata');
  await settled(page);
  await expect(page.getByRole('button', { name: /Time range: Last 7 days/ })).toContainText('UTC+05:30');
  await page.getByRole('link', { name: 'Failures' }).click();
  await expect(page).toHaveURL(/from=-7d&tz=Asia\/Kolkata/);
  await page.getByRole('button', { name: /Time range/ }).click();
  await page.getByRole('button', { name: 'Last 6 hours' }).click();
  await expect(page).toHaveURL(/from=-6h/);
});

for (const theme of ['light', 'dark'] as const) {
  test(`the list can be used by everybody in ${theme}`, async ({ page }) => {
    await useTheme(page, theme);
    // The first row: one further down would scroll another half under the header of the table, where it measures too small.
    await page.goto('/runs?status=failure');
    await settled(page);
    await page.keyboard.press('j');
    await page.keyboard.press(' ');
    await expect(page.getByRole('complementary', { name: 'Run in short' }).getByRole('link', { name: /Open run/ })).toBeVisible();
    await settled(page);
    await expectAccessible(page);
    await page.getByRole('button', { name: /Time range/ }).click();
    await expectAccessible(page);
    await page.keyboard.press('Escape');
    await page.keyboard.press('?');
    await expect(page.getByRole('dialog', { name: 'Keys' })).toContainText('Select to compare');
    await expectAccessible(page);
  });
}
