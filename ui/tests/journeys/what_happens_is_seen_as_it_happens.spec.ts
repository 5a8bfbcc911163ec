import { endRunning, manyRuns, RUNS, runningEvents } from '../fixture/runs.mjs';
import { expect, NOW, Server, settled, test } from './browser.ts';

/** These journeys change what their server holds, so each has its own. */
const own = test.extend<{ mine: Server }>({
  mine: async ({}, use) => {
    const server = await Server.start();
    await use(server);
    await server.remove();
  },
  baseURL: async ({ mine }, use) => use(mine.urls.ui),
});

own('the empty page turns live when the first run arrives', async ({ page, mine }) => {
  await page.goto('/runs');
  await expect(page.getByRole('heading', { name: 'Send the first run' })).toBeVisible();
  await expect(page.getByText('curl http')).toBeVisible();
  await mine.send([...manyRuns(1)]);
  await expect(page.getByRole('heading', { name: 'Send the first run' })).toBeHidden();
});

own('a live run grows while it is watched, and waits while a step is read', async ({ page, mine }) => {
  await mine.events(runningEvents(0, 3));
  await page.goto(`/runs/${RUNS.running}`);
  const grid = page.getByRole('grid', { name: 'Steps' });
  await expect(grid).toHaveAttribute('aria-rowcount', '4');
  await expect(page.getByRole('button', { name: '● Live' })).toBeVisible();
  await mine.events(runningEvents(3, 6));
  await expect(grid).toHaveAttribute('aria-rowcount', '7');

  await page.keyboard.press('j');
  await expect(page.getByRole('button', { name: 'Live: paused' })).toBeVisible();
  await mine.events(runningEvents(6, 8));
  // It would be there by now: another page, which follows, has it.
  const other = await page.context().newPage();
  await other.clock.setFixedTime(NOW);
  await other.goto(`/runs/${RUNS.running}`);
  await expect(other.getByRole('grid', { name: 'Steps' })).toHaveAttribute('aria-rowcount', '9');
  await expect(grid).toHaveAttribute('aria-rowcount', '7');

  await page.keyboard.press('Escape');
  await mine.events(endRunning());
  await expect(grid).toHaveAttribute('aria-rowcount', '9');
  await expect(page.getByRole('banner').or(page.locator('header')).getByText('success').first()).toBeVisible();
});

own('the list shows runs as they arrive, and all tabs share one connection', async ({ page, mine }) => {
  await mine.send([...manyRuns(20)]);
  await mine.events(runningEvents(0, 2));
  const tails: string[] = [];
  page.context().on('request', (request) => {
    if (request.url().includes('/v1/tail')) tails.push(request.url());
  });
  const first = await page.context().newPage();
  await first.clock.setFixedTime(NOW);
  await first.goto('/runs?live=1&from=all');
  const list = (tab: typeof page) => tab.getByRole('table', { name: 'Runs', exact: true });
  await expect(list(first)).toContainText('running');
  await page.goto('/runs?live=1&from=all&status=failure');
  await settled(page);

  const failing = { ...[...manyRuns(1)][0], run_id: '01997f3c-5b0e-7c41-a3d2-6e1f0b9ad4ff', agent_id: 'newcomer', status: 'failure' };
  await mine.send([failing]);
  for (const tab of [first, page]) await expect(list(tab)).toContainText('newcomer');
  expect(tails).toHaveLength(1);

  // When the tab that has the connection is closed, another one takes it over.
  await first.close();
  await mine.send([{ ...failing, run_id: '01997f3c-5b0e-7c41-a3d2-6e1f0b9ad4fe', agent_id: 'latecomer' }]);
  await expect(list(page)).toContainText('latecomer');
});
