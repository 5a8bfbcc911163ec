import { manyRuns } from '../fixture/runs.mjs';
import { expect, expectAccessible, NOW, Server, settled, test, useTheme } from './browser.ts';

test('from the overview to the failing step with one key', async ({ page }) => {
  await page.goto('/');
  const banner = page.getByRole('region', { name: 'Failing most' });
  await expect(banner).toContainText('tool/timeout');
  await expect(banner).toContainText('tickets.update');
  await expect(banner).toContainText('support-triage');
  await expect(banner).toContainText('2.4.1');
  await page.keyboard.press('f');
  await expect(page).toHaveURL(/\/runs\/[0-9a-f-]{36}\?step=\d+/);
  const step = page.getByRole('complementary', { name: /^Step / });
  await expect(step).toContainText('tickets.update');
  await expect(step).toContainText('tool / timeout');
});

test('from the overview to the failing step in three clicks', async ({ page }) => {
  await page.goto('/');
  await page.getByRole('link', { name: 'All failures →' }).click();
  await page.getByRole('table', { name: 'Clusters of failures' }).getByRole('button', { name: 'Show tool/timeout at tickets.update' }).first().click();
  await page.getByRole('complementary', { name: 'tool/timeout at tickets.update' }).getByRole('link', { name: /^Open the newest run/ }).click();
  await expect(page.getByRole('complementary', { name: /^Step / })).toContainText('tool / timeout');
});

test('the numbers are those of the server over the range, and lead to the runs that they count', async ({ page, server }) => {
  const day = `start_time=${new Date(NOW - 86_400_000 + 60_000).toISOString()}&end_time=${new Date(NOW + 59_999).toISOString()}`;
  const stats = (await (await fetch(`${server.urls.query}/v1/stats?${day}`)).json()) as { total_runs: number; total_failures: number };
  expect(stats.total_failures).toBeGreaterThan(10);
  await page.goto('/');
  const numbers = page.getByRole('main').locator('dl[aria-label="Numbers of the range"]');
  const shown = (number: number) => number.toLocaleString('en-US');
  await expect(numbers.getByRole('link', { name: shown(stats.total_runs), exact: true })).toBeVisible();
  const failed = numbers.getByRole('link', { name: shown(stats.total_failures), exact: true });
  await failed.click();
  await expect(page).toHaveURL(/\/runs\?.*status=failure/);
  await expect(page.getByText(new RegExp(`${shown(stats.total_failures)} runs`)).first()).toBeVisible();
  await page.goBack();
  await expect(page.getByRole('heading', { level: 1, name: 'Overview' })).toBeVisible();
});

test('a time is chosen on the chart by keyboard, and back undoes it', async ({ page }) => {
  await page.goto('/?from=2026-11-21T10:00:00Z&to=2026-11-22T10:00:00Z');
  await settled(page);
  await page.getByRole('slider', { name: /^Runs over time by status/ }).focus();
  for (const key of ['ArrowLeft', 'Shift+ArrowLeft', 'Shift+ArrowLeft', 'Enter']) await page.keyboard.press(key);
  await expect(page).toHaveURL(/from=2026-11-22T08:30:00Z&to=2026-11-22T10:00:00Z/);
  await settled(page);
  await page.goBack();
  await expect(page).toHaveURL(/from=2026-11-21T10:00:00Z/);
});

test('the filters stand in the address and hold from page to page', async ({ page }) => {
  await page.goto('/');
  await page.getByRole('combobox', { name: 'agent' }).selectOption('code-reviewer');
  await expect(page).toHaveURL(/agent=code-reviewer/);
  const agents = page.getByRole('region', { name: 'Agents and their versions' });
  await expect(agents.getByRole('link', { name: 'code-reviewer' })).toBeVisible();
  await expect(agents.getByRole('link', { name: 'support-triage' })).toBeHidden();
  await page.reload();
  await expect(page.getByRole('combobox', { name: 'agent' })).toHaveValue('code-reviewer');
  await page.getByRole('link', { name: 'All failures →' }).click();
  await expect(page).toHaveURL(/\/failures\?.*agent=code-reviewer/);
  await expect(page.getByRole('combobox', { name: 'agent' })).toHaveValue('code-reviewer');
});

test('a time without runs says so, and how to get out of it', async ({ page }) => {
  for (const path of ['/', '/failures', '/decisions', '/signals', '/agents', '/agents/support-triage']) {
    await page.goto(`${path}?from=2025-01-01T00:00:00Z&to=2025-01-02T00:00:00Z&env=production`);
    await expect(page.getByText(/with these filters$/)).toBeVisible();
    await expect(page.getByRole('button', { name: 'Clear the filters' })).toBeVisible();
    await settled(page);
    await expectAccessible(page);
    await page.getByRole('link', { name: 'Look at all times' }).click();
    await expect(page).toHaveURL(/from=all/);
    await expect(page.getByText(/with these filters$/)).toBeHidden();
  }
});

const own = test.extend<{ mine: Server }>({
  mine: async ({}, use) => {
    const server = await Server.start();
    await use(server);
    await server.remove();
  },
  baseURL: async ({ mine }, use) => use(mine.urls.ui),
});

for (const theme of ['light', 'dark'] as const) {
  own(`the first page names the right address and turns live, in ${theme}`, async ({ page, mine }) => {
    await useTheme(page, theme);
    await page.goto('/');
    await expect(page.getByRole('heading', { name: 'Send the first run' })).toBeVisible();
    // The port is any free one, so the page cannot have guessed it.
    await expect(page.getByRole('region', { name: 'curl' })).toContainText(`curl ${mine.urls.ingest}/v1/runs`);
    await expect(page.getByRole('region', { name: 'Python' })).toContainText(`api_url="${mine.urls.ingest}"`);
    await expect(page.getByRole('status').filter({ hasText: 'Waiting for the first run' })).toBeVisible();
    // It listens for the first run, so its network is never idle.
    await page.evaluate(() => document.fonts.ready);
    await expectAccessible(page);
    await mine.send([...manyRuns(3)]);
    await expect(page.getByRole('heading', { name: 'Send the first run' })).toBeHidden();
  });
}

own('the copied curl is what the server takes', async ({ page, mine, context }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.goto('/');
  await expect(page.getByRole('region', { name: 'curl' })).toContainText(mine.urls.ingest);
  await page.getByRole('button', { name: 'Copy the curl snippet' }).click();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  const { execFileSync } = await import('node:child_process');
  const answer = JSON.parse(execFileSync('bash', ['-c', copied], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })) as { agent_id: string };
  expect(answer.agent_id).toBe('my-agent');
});
