import type { Page } from '@playwright/test';

import { manyRuns, runningEvents, RUNS } from '../fixture/runs.mjs';
import { makeKey, revokeKey } from '../fixture/server.mjs';
import { expect, expectAccessible, NOW, Server, settled, test, useTheme } from './browser.ts';

/** A server that asks for keys, of which `key` may ask questions. */
interface Mine {
  server: Server;
  key: string;
  id: string;
}

const own = test.extend<{ mine: Mine }>({
  mine: async ({}, use) => {
    const server = await Server.startWithKeys();
    await server.send(manyRuns(200));
    const mine = { server, ...(await makeKey(server.directory, 'dashboard', ['query'])) };
    await use(mine);
    await mine.server.remove();
  },
  baseURL: async ({ mine }, use) => use(mine.server.urls.ui),
});
// The browser logs each request that was refused; and one journey is about a server that is gone.
own.use({ expectedErrors: /status of 401|ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE/ });

const field = (page: Page) => page.getByLabel('Key', { exact: true });
const signInPage = (page: Page) => page.getByRole('heading', { level: 1, name: 'Sign in' });
const list = (page: Page) => page.getByRole('table', { name: 'Runs', exact: true });

async function signIn(page: Page, key: string): Promise<void> {
  await field(page).fill(key);
  await page.keyboard.press('Enter');
}

/** All that a script of the page could read or that a link would carry. */
async function kept(page: Page): Promise<string> {
  const readable = await page.evaluate(() => JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage), document.cookie, location.href]));
  return readable + (await page.content());
}

for (const theme of ['light', 'dark'] as const) {
  own(`signing in by keyboard leads to where one wanted to go, and a wrong key is told: ${theme}`, async ({ page, mine }) => {
    await useTheme(page, theme);
    await page.goto('/runs?from=all&status=failure&sort=duration_ms');
    await expect(signInPage(page)).toBeVisible();
    await expect(page).toHaveTitle('Sign in · AgentTracer');
    await expect(field(page)).toBeFocused();
    await expect(page.getByText('agenttracer keys create')).toBeVisible();
    await settled(page);
    await expectAccessible(page);

    await page.keyboard.type('at_000000000000_0000');
    await page.keyboard.press('Enter');
    await expect(page.getByRole('alert')).toContainText('This key is not valid');
    await expectAccessible(page);
    const ingest = await makeKey(mine.server.directory, 'an agent', ['ingest']);
    // The server asks for a key that it does not know in the file, so one that was just made is valid.
    await signIn(page, ingest.key);
    await expect(page.getByRole('alert')).toContainText('valid for ingest alone');

    const signedIn = page.waitForResponse((response) => response.url().endsWith('/v1/session') && response.request().method() === 'POST');
    await signIn(page, mine.key);
    const headers = await (await signedIn).allHeaders();
    expect(headers['set-cookie']).toMatch(/HttpOnly; SameSite=Strict/);
    await expect(list(page).getByRole('row').nth(1)).toContainText('failure');
    expect(new URL(page.url()).search).toBe('?from=all&status=failure&sort=duration_ms');
    await expect(page.locator('#main')).toBeFocused();
    await settled(page);
    await expectAccessible(page);
    for (const key of [mine.key, ingest.key]) expect(await kept(page)).not.toContain(key);
    expect(await kept(page)).not.toContain('agenttracer_session');

    // A reload is signed in, too, and the keys of the page work.
    await page.reload();
    await expect(list(page).getByRole('row').nth(1)).toBeVisible();
    await page.keyboard.press('j');
    await expect(list(page).getByRole('row').nth(1)).toHaveAttribute('aria-current', 'true');
  });
}

own('signing out ends the session in all tabs', async ({ page, mine }) => {
  await page.goto('/runs?from=all');
  await signIn(page, mine.key);
  await expect(list(page).getByRole('row').nth(1)).toBeVisible();
  const other = await page.context().newPage();
  await other.clock.setFixedTime(NOW);
  await other.goto('/agents?from=all');
  await expect(other.getByRole('table').first()).toBeVisible();

  const ended = page.waitForRequest((request) => request.method() === 'DELETE');
  await page.getByRole('button', { name: 'Sign out' }).click();
  expect((await ended).headers()['x-csrf-token']).toMatch(/^[0-9a-f]{64}$/);
  for (const tab of [page, other]) {
    await expect(signInPage(tab)).toBeVisible();
    await expect(tab.getByRole('status')).toHaveText('You are signed out.');
    await expect(tab.getByRole('table')).toHaveCount(0);
  }
  const refused = await page.request.get('/v1/runs');
  expect(refused.status()).toBe(401);
  // Who signs in in one tab is signed in in the other, where it was.
  await signIn(other, mine.key);
  await expect(other.getByRole('table').first()).toBeVisible();
  await expect(list(page).getByRole('row').nth(1)).toBeVisible();
});

own('signing out that fails is told, leaves one signed in, and can be tried again', async ({ page, mine }) => {
  // On a phone, where the menu with the button is closed most of the time.
  await page.setViewportSize({ width: 390, height: 844 });
  await page.goto('/runs?from=all');
  await signIn(page, mine.key);
  await settled(page);
  let lost = 0;
  await page.route('**/v1/session', async (route) => {
    if (route.request().method() !== 'DELETE') return route.continue();
    lost++;
    return route.abort('connectionrefused');
  });
  await page.getByRole('button', { name: 'Open the menu' }).click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  const told = page.getByRole('alert').filter({ hasText: 'You are still signed in' });
  await expect(told).toContainText('with the key dashboard. Signing out failed: The server does not answer.');
  await expect(list(page).getByRole('row').nth(1)).toBeVisible();
  expect((await page.request.get('/v1/runs')).status()).toBe(200);
  await settled(page);
  await expectAccessible(page);

  const again = told.getByRole('button', { name: 'Sign out again' });
  await again.click();
  await expect.poll(() => lost).toBe(2);
  await expect(told).toContainText('Signing out failed');
  await expect(again).toBeFocused();
  await page.unroute('**/v1/session');
  await page.keyboard.press('Enter');
  await expect(signInPage(page)).toBeVisible();
  await expect(page.getByRole('alert').filter({ hasText: 'still signed in' })).toHaveCount(0);
  expect((await page.request.get('/v1/runs')).status()).toBe(401);
});

own('a key that is revoked is told, and what was loaded stays', async ({ page, mine }) => {
  await page.goto('/runs?from=all');
  await signIn(page, mine.key);
  await settled(page);
  const first = (await list(page).getByRole('row').nth(1).innerText()).split('\n')[1] ?? '';
  await revokeKey(mine.server.directory, mine.id);
  await expect.poll(async () => (await page.request.get('/v1/runs?limit=1')).status()).toBe(401);
  const notice = page.getByRole('status').filter({ hasText: 'The session ended' });
  // The next question that the server refuses is the one that tells.
  await page.getByRole('button', { name: /^Duration/ }).click();
  await expect(notice).toBeVisible();
  await expect(list(page)).toContainText(first);
  await expect(page.getByRole('alert')).toHaveCount(0);
  await expectAccessible(page);

  const next = await makeKey(mine.server.directory, 'the next one', ['query']);
  await notice.getByRole('button', { name: 'Sign in' }).click();
  await expect(field(page)).toBeFocused();
  await expectAccessible(page);
  await signIn(page, next.key);
  await expect(notice).toBeHidden();
  await expect(page.getByRole('dialog', { name: 'Sign in' })).toBeHidden();
  await expect(list(page).getByRole('row').nth(1)).toBeVisible();
  await expect(page.getByText('the next one')).toBeVisible();
});

own('a page that was not loaded before the session ended asks to sign in', async ({ page, mine }) => {
  await page.goto('/runs?from=all');
  await signIn(page, mine.key);
  await settled(page);
  const { urls, directory } = mine.server;
  // A restart ends all sessions.
  await mine.server.stop('SIGKILL');
  mine.server = await Server.startWithKeys({ directory, ports: urls });
  await page.getByRole('button', { name: /^Duration/ }).click();
  await expect(page.getByRole('status').filter({ hasText: 'The session ended' })).toBeVisible();
  await page.keyboard.press('g');
  await page.keyboard.press('a');
  await expect(signInPage(page)).toBeVisible();
  await expect(page.getByRole('status')).toHaveText('The session ended, or its key was revoked.');
  await signIn(page, mine.key);
  await expect(page.getByRole('heading', { level: 1, name: 'Agents' })).toBeVisible();
  await expect(page.getByRole('table').first()).toBeVisible();
});

own('what happens is followed with the session, and no longer when it ends', async ({ page, mine }) => {
  await mine.server.events(runningEvents(0, 3));
  await page.goto(`/runs/${RUNS.running}`);
  await signIn(page, mine.key);
  const grid = page.getByRole('grid', { name: 'Steps' });
  await expect(grid).toHaveAttribute('aria-rowcount', '4');
  await mine.server.events(runningEvents(3, 6));
  await expect(grid).toHaveAttribute('aria-rowcount', '7');

  const asked: string[] = [];
  page.on('request', (request) => asked.push(request.url()));
  const refused = page.waitForResponse((response) => response.url().includes('/v1/tail') && response.status() === 401);
  await revokeKey(mine.server.directory, mine.id);
  // Nobody touches the page: the end of the stream tells it.
  await expect(page.getByRole('status').filter({ hasText: 'The session ended' })).toBeVisible();
  await expect(grid).toHaveAttribute('aria-rowcount', '7');
  // One try with the cookie that is valid no more, and then silence: by the page's own timers, three more would have come.
  await refused;
  await page.evaluate(() => new Promise((done) => setTimeout(done, 3500)));
  expect(asked.filter((url) => url.includes('/v1/tail'))).toHaveLength(1);
  for (const url of asked) expect(url).not.toMatch(/at_|token|key=/);

  const next = await makeKey(mine.server.directory, 'the next one', ['query']);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await signIn(page, next.key);
  await expect(page.getByRole('dialog', { name: 'Sign in' })).toBeHidden();
  await mine.server.events(runningEvents(6, 8));
  await expect(grid).toHaveAttribute('aria-rowcount', '9');
});

own('another origin can neither sign in nor write with the cookie', async ({ page, mine }) => {
  await page.goto('/runs?from=all');
  await signIn(page, mine.key);
  await settled(page);
  const foreign = { origin: 'http://evil.example' };
  const signedIn = await page.request.post('/v1/session', { data: { key: mine.key }, headers: foreign });
  expect(signedIn.status()).toBe(403);
  const session = (await (await page.request.get('/v1/session')).json()) as { csrf_token: string };
  for (const headers of [{}, { 'x-csrf-token': 'made up' }, { ...foreign, 'x-csrf-token': session.csrf_token }]) {
    expect((await page.request.delete('/v1/session', { headers: headers as Record<string, string> })).status()).toBe(403);
  }
  await page.reload();
  await expect(list(page).getByRole('row').nth(1)).toBeVisible();
});
