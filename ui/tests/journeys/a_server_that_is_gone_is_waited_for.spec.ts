import { manyRuns } from '../fixture/runs.mjs';
import { expect, Server, settled, test } from './browser.ts';

const own = test.extend<{ mine: { server: Server } }>({
  mine: async ({}, use) => {
    const mine = { server: await Server.start() };
    await mine.server.send(manyRuns(50));
    await use(mine);
    await mine.server.remove();
  },
  baseURL: async ({ mine }, use) => use(mine.server.urls.ui),
});
// The browser logs each request that found nobody.
own.use({ expectedErrors: /ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE/ });

own('the page says so, keeps what it has, and recovers by itself', async ({ page, mine }) => {
  await page.goto('/runs?from=all');
  await settled(page);
  const table = page.getByRole('table', { name: 'Runs', exact: true });
  const before = await table.getByRole('row').nth(1).innerText();
  const { urls, directory } = mine.server;
  await mine.server.stop('SIGKILL');

  await page.getByRole('button', { name: /^Duration/ }).click();
  await expect(page.getByRole('status').filter({ hasText: 'The server does not answer' })).toBeVisible();
  await expect(page.getByRole('alert').filter({ hasText: 'Not up to date' })).toBeVisible();
  await expect(table.getByRole('row').nth(1)).toContainText(before.split('\n')[1] ?? '');

  mine.server = await Server.start({ directory, ports: urls });
  await expect(page.getByRole('status').filter({ hasText: 'The server does not answer' })).toBeHidden();
  await expect(page.getByRole('alert')).toHaveCount(0);
  await expect(table.getByRole('row').nth(1)).toBeVisible();
});

own('what was never loaded offers to try again, and comes by itself as well', async ({ page, mine }) => {
  await page.goto('/runs?from=all');
  await settled(page);
  const link = page.getByRole('table', { name: 'Runs', exact: true }).getByRole('link').first();
  // The page's code comes when somebody is about to follow the link; its data do not.
  const code = page.waitForResponse(/assets\/run-/);
  await link.hover();
  await code;
  const { urls, directory } = mine.server;
  await mine.server.stop('SIGKILL');
  await link.click();
  await expect(page.getByRole('alert')).toContainText('The server does not answer');
  await page.getByRole('button', { name: 'Try again' }).click();
  await expect(page.getByRole('alert')).toContainText('The server does not answer');
  mine.server = await Server.start({ directory, ports: urls });
  await expect(page.getByRole('grid', { name: 'Steps' })).toBeVisible();
});
