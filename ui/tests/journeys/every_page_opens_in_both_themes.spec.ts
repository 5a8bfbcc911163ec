import { expect, expectAccessible, settled, test, useTheme } from './browser.ts';

/** A page by its address and its heading. A new page adds its line. */
const PAGES = [
  ['/', 'Overview'],
  ['/runs', 'Runs'],
  ['/failures', 'Failures'],
  ['/decisions', 'Decisions'],
  ['/signals', 'Signals'],
  ['/agents', 'Agents'],
  ['/versions', 'Compare versions'],
  ['/settings', 'Settings'],
  ['/nothing/of/this/name', 'Not found'],
] as const;

for (const theme of ['light', 'dark'] as const) {
  for (const [path, heading] of PAGES) {
    test(`${path} in ${theme}`, async ({ page }) => {
      await useTheme(page, theme);
      await page.goto(path);
      await expect(page.getByRole('heading', { level: 1, name: heading })).toBeVisible();
      await expect(page).toHaveTitle(`${heading} · AgentTracer`);
      await settled(page);
      await expectAccessible(page);
    });
  }
}
