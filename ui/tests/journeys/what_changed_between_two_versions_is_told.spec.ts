import type { Page } from '@playwright/test';

import { manyRuns } from '../fixture/runs.mjs';
import { expect, expectAccessible, NOW, Server, settled, test, useTheme } from './browser.ts';

const WEEK = `from=${new Date(NOW - 7 * 86_400_000).toISOString()}&to=${new Date(NOW).toISOString()}`;
const line = (page: Page, name: RegExp | string) => page.getByRole('region', { name: 'What was compared' }).getByRole('row').filter({ has: page.getByRole('rowheader', { name }) });

test('the two newest versions of the busiest agent, when nothing is said', async ({ page }) => {
  await page.goto(`/versions?${WEEK}`);
  await settled(page);
  await expect(page.getByLabel('Agent')).toHaveValue('support-triage');
  await expect(page.getByLabel('Base', { exact: true })).toHaveValue('2.4.0');
  await expect(page.getByLabel('Candidate', { exact: true })).toHaveValue('2.4.1');
  await page.getByRole('button', { name: 'Swap base and candidate' }).click();
  await expect(page).toHaveURL(/base=2\.4\.1&candidate=2\.4\.0/);
  await page.goBack();
  await expect(page.getByLabel('Base', { exact: true })).toHaveValue('2.4.0');
});

test('each side of a line leads to its runs, and they are as many as it says', async ({ page, server }) => {
  await page.goto(`/versions?${WEEK}`);
  await settled(page);
  const failed = line(page, 'Runs that failed');
  for (const [side, version] of [
    ['base', '2.4.0'],
    ['candidate', '2.4.1'],
  ] as const) {
    const link = failed.getByRole('link', { name: new RegExp(`, ${side}: `) });
    const [count] = /[\d,]+(?= of )/.exec(await link.innerText()) ?? [];
    const href = new URL((await link.getAttribute('href')) ?? '', server.urls.ui);
    expect(href.pathname).toBe('/runs');
    expect(href.searchParams.getAll('agent')).toEqual(['support-triage']);
    expect(href.searchParams.getAll('version')).toEqual([version]);
    expect(href.searchParams.getAll('status')).toEqual(['failure']);
    const end = new Date(NOW - 1).toISOString().replace('Z', '999Z');
    const question = `agent_id=support-triage&agent_version=${version}&status=failure&start_time=${new Date(NOW - 7 * 86_400_000).toISOString()}&end_time=${end}`;
    const answer = await fetch(`${server.urls.ui}/v1/runs?view=summary&page_size=1&${question}`);
    expect(count?.replaceAll(',', '')).toBe(answer.headers.get('x-total-count'));
  }
});

test('what differs is said with how large it is and how sure, and can be all that is shown', async ({ page }) => {
  await page.goto(`/versions?${WEEK}`);
  await settled(page);
  // The fixture's tickets service began to fail after 2.4.1 was rolled out.
  await expect(line(page, 'tool/timeout')).toContainText(/differs.*p/);
  await expect(line(page, 'tool/timeout')).toContainText(/\+[\d.]+ \(\+[\d.]+ to \+[\d.]+\)/);
  await expect(page.getByRole('status').filter({ hasText: 'comparisons differ' })).toBeVisible();
  const before = await page.getByRole('rowheader').count();
  await page.getByRole('button', { name: 'only what differs' }).click();
  await expect(page).toHaveURL(/differs=1/);
  await expect(line(page, 'tool/timeout')).toBeVisible();
  expect(await page.getByRole('rowheader').count()).toBeLessThan(before);
  await expect(page.getByText('no difference shown')).toHaveCount(0);
});

test('how sure a difference is, is told to a screen reader at every width', async ({ page }) => {
  for (const width of [390, 768, 1280]) {
    await page.setViewportSize({ width, height: 844 });
    await page.goto(`/versions?${WEEK}`);
    await settled(page);
    const table = page.getByRole('region', { name: 'What was compared' });
    await expect(table.getByRole('columnheader', { name: 'How sure' }).first()).toBeAttached();
    await expect(line(page, 'tool/timeout').getByRole('cell', { name: /^differs\s*p/ })).toHaveCount(1);
    await expect(line(page, 'Runs with retries').getByRole('cell', { name: /^(differs|no difference shown)/ })).toHaveCount(1);
    // And nothing moves the page sideways for that.
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
  }
});

test('environments and times are compared, too', async ({ page }) => {
  await page.goto(`/versions?${WEEK}`);
  await settled(page);
  await page.getByRole('radio', { name: 'Environments' }).click();
  await expect(page).toHaveURL(/by=environment/);
  await expect(page.getByLabel('Agent')).toHaveValue('');
  await expect(page.getByLabel('Base', { exact: true })).toHaveValue('production');
  await expect(page.getByLabel('Candidate', { exact: true })).toHaveValue('staging');
  await expect(line(page, 'Runs that failed')).toBeVisible();
  await page.goto(`/versions?by=time&from=${new Date(NOW - 86_400_000).toISOString()}&to=${new Date(NOW).toISOString()}`);
  await settled(page);
  await expect(page.getByText('2026-11-20 10:00 – 2026-11-21 10:00')).toBeVisible();
  const href = await line(page, 'Runs that failed').getByRole('link', { name: /, base: / }).getAttribute('href');
  expect(href).toContain('from=2026-11-20T10:00:00Z');
  await page.goto('/versions?by=time&from=all');
  await expect(page.getByText('Choose a time range with a beginning and an end')).toBeVisible();
  await page.goto(`/versions?by=time&against=day&${WEEK}`);
  await expect(page.getByText('The two times overlap')).toBeVisible();
});

test('one version alone is said to be alone', async ({ page }) => {
  await page.goto(`/versions?agent=code-reviewer&${WEEK}`);
  await expect(page.getByText('There is one version of code-reviewer in this time range: 3.0.0')).toBeVisible();
  await page.goto('/versions?agent=nobody');
  await expect(page.getByText('No version of nobody has a run in this time range')).toBeVisible();
});

const few = test.extend<object, { server: Server }>({
  server: [
    async ({}, use) => {
      const server = await Server.start();
      await server.send(manyRuns(120));
      await use(server);
      await server.remove();
    },
    { scope: 'worker' },
  ],
});
few('too few runs are said to be too few, and nothing is drawn or concluded', async ({ page }) => {
  await page.goto(`/versions?by=environment&agent=${encodeURIComponent('billing-assistant')}&base=production&candidate=dev&${WEEK}`);
  await settled(page);
  await expect(page.getByRole('status').filter({ hasText: 'Not enough data: at least 30 runs are needed on a side' })).toBeVisible();
  await expect(line(page, 'Runs that failed')).toContainText('not enough data');
  await expect(line(page, 'Runs that failed').locator('circle')).toHaveCount(0);
});

for (const theme of ['light', 'dark'] as const) {
  for (const search of ['', '&differs=1', '&by=environment', '&by=time&from=all']) {
    test(`the comparison ${search} can be used by everybody in ${theme}`, async ({ page }) => {
      await useTheme(page, theme);
      await page.goto(`/versions?${search.includes('from=') ? search.slice(1) : WEEK + search}`);
      await settled(page);
      await expectAccessible(page);
    });
  }
}
