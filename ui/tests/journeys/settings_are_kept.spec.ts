import { expect, expectAccessible, settled, test, useTheme } from './browser.ts';

test('theme, rows and zone hold at once, on every page, and after a reload', async ({ page }) => {
  await page.goto('/settings');
  await settled(page);
  await page.getByRole('radiogroup', { name: 'Theme' }).getByRole('radio', { name: 'Dark' }).click();
  await page.getByRole('radiogroup', { name: 'Rows' }).getByRole('radio', { name: 'Comfortable' }).click();
  await page.getByLabel('Time zone').selectOption('Asia/Tokyo');
  await expect(page.getByText('Now 2026-11-22 19:00 UTC+09:00')).toBeVisible();
  await page.reload();
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
  await expect(page.locator('html')).toHaveAttribute('data-density', 'comfortable');
  await page.goto('/runs');
  await expect(page.getByRole('button', { name: /^Time range/ })).toContainText('UTC+09:00');
});

test('saved views are renamed and removed, and a removed one comes back', async ({ page }) => {
  await page.addInitScript(() => {
    if (localStorage.getItem('agenttracer.views') !== null) return;
    const views = [
      { name: 'Failing', href: '/runs?status=failure' },
      { name: 'Slow', href: '/runs?min_ms=5000&sort=duration_ms&order=desc' },
    ];
    localStorage.setItem('agenttracer.views', JSON.stringify(views));
  });
  await page.goto('/settings');
  await settled(page);
  const views = page.getByRole('region', { name: 'Saved views' });
  await views.getByRole('button', { name: 'Rename Failing' }).click();
  await expect(views.getByLabel('New name of Failing')).toBeFocused();
  await page.keyboard.press('Control+a');
  await page.keyboard.type('Slow');
  await page.keyboard.press('Enter');
  await expect(views.getByRole('alert')).toContainText('Another view has this name');
  await page.keyboard.type(' no, failing');
  await page.keyboard.press('Enter');
  await expect(views.getByRole('link', { name: 'Slow no, failing' })).toHaveAttribute('href', '/runs?status=failure');
  await expect(views.getByRole('button', { name: 'Rename Slow no, failing' })).toBeFocused();
  await page.reload();
  await expect(views.getByRole('link')).toHaveText(['Slow', 'Slow no, failing']);

  await views.getByRole('button', { name: 'Remove Slow no, failing' }).click();
  await expect(views.getByRole('link')).toHaveText(['Slow']);
  await views.getByRole('button', { name: 'Undo' }).click();
  await expect(views.getByRole('link')).toHaveText(['Slow', 'Slow no, failing']);
  await views.getByRole('link', { name: 'Slow no, failing' }).click();
  await expect(page).toHaveURL(/\/runs\?.*status=failure/);
});

test('the server says what it is, as of now', async ({ page, server }) => {
  await page.goto('/settings');
  await settled(page);
  const facts = page.getByRole('region', { name: 'Server' });
  const health = (await (await fetch(`${server.urls.ui}/health`)).json()) as { version: string; sync_mode: string; position: number };
  await expect(facts).toContainText('healthy');
  await expect(facts).toContainText(health.version);
  await expect(facts).toContainText(health.sync_mode);
  await expect(facts).toContainText(health.position.toLocaleString('en-US'));
});

for (const theme of ['light', 'dark'] as const) {
  test(`the settings can be used by everybody in ${theme}`, async ({ page }) => {
    await useTheme(page, theme);
    await page.addInitScript(() => localStorage.setItem('agenttracer.views', JSON.stringify([{ name: 'Failing', href: '/runs?status=failure' }])));
    await page.goto('/settings');
    await settled(page);
    await expectAccessible(page);
    await page.getByRole('button', { name: 'Rename Failing' }).click();
    await expectAccessible(page);
  });
}
