/**
 * What every journey stands on: the real binary with really ingested runs, a page that fails its test when it breaks the
 * content security policy, logs an error, throws, or asks another origin, and a clock that stands at the fixture's time.
 */

import AxeBuilder from '@axe-core/playwright';
import { expect, test as base, type Page } from '@playwright/test';

import { CANARY, NOW } from '../fixture/runs.mjs';
import { Server } from '../fixture/server.mjs';

export { expect };
export { NOW, RUNS } from '../fixture/runs.mjs';
export { Server };

/** How many runs the list has, beside those with names. */
export const MANY = Number(process.env.AGENTTRACER_UI_RUNS ?? 50_000);

interface Options {
  /** Errors of the console that the journey is about, as when its server is killed. */
  expectedErrors: RegExp | undefined;
}

export const test = base.extend<Options, { server: Server }>({
  expectedErrors: [undefined, { option: true }],

  // One server for all journeys that only look.
  server: [
    async ({}, use) => {
      const server = await Server.start();
      await server.fill(MANY);
      await use(server);
      await server.remove();
    },
    { scope: 'worker', timeout: 300_000 },
  ],

  baseURL: async ({ server }, use) => use(server.urls.ui),

  page: async ({ page, expectedErrors }, use) => {
    const problems: string[] = [];
    const note = (problem: string) => {
      if (expectedErrors?.test(problem) !== true) problems.push(problem);
    };
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') note(`console: ${message.text()}`);
    });
    page.on('pageerror', (error) => note(`thrown: ${error.message}`));
    page.on('request', (request) => {
      const { protocol, hostname } = new URL(request.url());
      if (hostname !== '127.0.0.1' || protocol !== 'http:') note(`asked another origin: ${request.url()}`);
    });
    await page.exposeFunction('reportPolicyViolation', (text: string) => note(`policy: ${text}`));
    await page.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', (event) => {
        const report = (globalThis as unknown as { reportPolicyViolation: (text: string) => void }).reportPolicyViolation;
        report(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`);
      });
    });
    await page.clock.setFixedTime(NOW);
    await use(page);
    expect(await page.content(), 'private text on the page').not.toContain(CANARY);
    expect(problems).toEqual([]);
  },
});

/** Turns the page to a theme, as the settings do. */
export async function useTheme(page: Page, theme: 'light' | 'dark'): Promise<void> {
  await page.addInitScript((theme) => {
    localStorage.setItem('agenttracer.preferences', JSON.stringify({ theme }));
  }, theme);
}

/** After a page was opened: nothing is loading any more, and the letters are there. Within the page, wait for what is to be seen. */
export async function settled(page: Page): Promise<void> {
  await page.waitForLoadState('networkidle');
  await page.evaluate(() => document.fonts.ready);
  await expect(page.locator('.skeleton')).toHaveCount(0);
}

/** No violation of WCAG 2.2 AA or of best practices. */
export async function expectAccessible(page: Page): Promise<void> {
  const found = await new AxeBuilder({ page })
    .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'])
    .analyze();
  expect(found.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`)).toEqual([]);
}
