import type { Page } from '@playwright/test';

import { COMPARED } from '../fixture/compared.mjs';
import { expect, expectAccessible, RUNS, settled, test, useTheme } from './browser.ts';

const PATH = `/compare?a=${COMPARED.a}&b=${COMPARED.b}`;
const steps = (page: Page) => page.getByRole('table', { name: 'Steps of both runs' });
const chip = (page: Page, name: RegExp) => page.getByRole('region', { name: 'Steps', exact: true }).getByRole('button', { name });
const active = (page: Page) => steps(page).locator('[aria-current="true"]');

test('what each run has and the other has not is told, with what both have in common', async ({ page }) => {
  await page.goto(PATH);
  await settled(page);
  const both = page.getByRole('region', { name: 'Both runs' });
  await expect(both.getByRole('row').filter({ hasText: COMPARED.a })).toContainText('success');
  await expect(both.getByRole('row').filter({ hasText: COMPARED.b })).toContainText('failure');
  await expect(page.getByText('tickets.update timed out after 4 attempts')).toBeVisible();
  // The fixture leaves out four reranks and the answer, and adds five looks into the cache and three attempts.
  await expect(chip(page, /only in A/)).toContainText('5');
  await expect(chip(page, /only in B/)).toContainText('8');
  await expect(chip(page, /other signal/)).toContainText('2');
  await expect(steps(page).getByRole('row', { name: 'retrieve cache.get: only in B' }).first()).toBeVisible();
  await expect(steps(page).getByRole('row', { name: 'retrieve vector.search: slower in B' }).first()).toContainText('+308 ms');
  await expect(steps(page).getByRole('row', { name: /rows? not shown|not shown/ }).first()).toBeVisible();
});

test('chips choose the changes, the address says which, and back undoes nothing that was opened', async ({ page }) => {
  await page.goto(PATH);
  await settled(page);
  await chip(page, /faster in B/).click();
  await expect(page).toHaveURL(/change=faster/);
  await expect(steps(page).getByRole('row', { name: /faster in B/ })).toHaveCount(5);
  await page.reload();
  await expect(chip(page, /faster in B/)).toHaveAttribute('aria-pressed', 'true');
  await chip(page, /faster in B/).click();
  await chip(page, /alike/).click();
  await expect(page).toHaveURL(/all=1/);
  await expect(steps(page)).toHaveAttribute('aria-rowcount', '71');
});

test('by keyboard alone: from difference to difference, into what is left out, to the step on either side', async ({ page }) => {
  await page.goto(PATH);
  await settled(page);
  await page.keyboard.press('n');
  await expect(active(page)).toHaveAccessibleName('retrieve cache.get: only in B');
  await page.keyboard.press('n');
  await expect(active(page)).toHaveAccessibleName(/vector.search: slower in B/);
  await page.keyboard.press('p');
  await page.keyboard.press('k');
  await expect(active(page)).toHaveAccessibleName('6 steps not shown');
  await page.keyboard.press('Enter');
  await expect(active(page)).toHaveAccessibleName('plan plan.next_action: alike');
  await page.keyboard.press('n');
  await page.keyboard.press('n');
  await page.keyboard.press('a');
  await expect(page).toHaveURL(new RegExp(`/runs/${COMPARED.a}\\?.*step=6`));
  await page.goBack();
  await expect(active(page)).toHaveAccessibleName(/vector.search: slower in B/);
  await page.keyboard.press('b');
  await expect(page).toHaveURL(new RegExp(`/runs/${COMPARED.b}\\?.*step=7`));
});

test('both sides of a row link to their step', async ({ page }) => {
  await page.goto(PATH);
  await settled(page);
  const row = steps(page).getByRole('row', { name: /vector.search: slower in B/ }).first();
  await expect(row.getByRole('link', { name: 'vector.search, step 6 of A' })).toHaveAttribute('href', `/runs/${COMPARED.a}?step=6`);
  await expect(row.getByRole('link', { name: 'vector.search, step 7 of B' })).toHaveAttribute('href', `/runs/${COMPARED.b}?step=7`);
  await page.getByRole('button', { name: 'Swap sides' }).click();
  await expect(page).toHaveURL(new RegExp(`a=${COMPARED.b}&b=${COMPARED.a}`));
  await expect(steps(page).getByRole('row', { name: /vector.search: faster in B/ }).first()).toBeVisible();
});

test('decisions and signals that differ are told in groups, and lead to their first row', async ({ page }) => {
  await page.goto(PATH);
  await settled(page);
  await page.getByRole('tab', { name: /Decisions/ }).click();
  await expect(page).toHaveURL(/part=decisions/);
  const panel = page.getByRole('tabpanel');
  await expect(panel.getByRole('listitem').first()).toContainText('crm.lookup_customer (fresh_data_required)');
  await expect(panel.getByRole('listitem').first()).toContainText('cache.get (cached_data_sufficient)');
  await panel.getByRole('button', { name: /First row with tool_selection/ }).click();
  await expect(active(page)).toHaveAccessibleName('plan plan.next_action: other decision');
  await page.getByRole('tab', { name: /Signals/ }).click();
  await expect(panel).toContainText('schema_valid/full_match');
});

test('ten thousand steps beside a thousand: soon there, and no more rows in the page than are seen', async ({ page }) => {
  await page.goto(`/compare?a=${RUNS.tenThousand}&b=${RUNS.failing}&all=1`);
  await expect(steps(page).getByRole('row').nth(5)).toBeVisible();
  const rows = Number(await steps(page).getAttribute('aria-rowcount'));
  expect(rows).toBeGreaterThan(10_000);
  const before = await steps(page).getByRole('row').nth(12).innerText();
  await steps(page).evaluate((table) => {
    let view: Element = table;
    while (getComputedStyle(view).overflowY !== 'auto' && view.parentElement !== null) view = view.parentElement;
    view.scrollTop = view.scrollHeight / 2;
  });
  await expect.poll(async () => Number(await steps(page).getByRole('row').nth(1).getAttribute('aria-rowindex'))).toBeGreaterThan(rows / 3);
  expect(await steps(page).getByRole('row').nth(12).innerText()).not.toBe(before);
  expect(await page.evaluate(() => document.querySelectorAll('*').length)).toBeLessThanOrEqual(1500);
});

test('one run alone asks for the other one, by id or of the newest', async ({ page }) => {
  await page.goto(`/compare?a=${COMPARED.a}`);
  await settled(page);
  await expect(page.getByText(`${COMPARED.a} of support-triage`)).toBeVisible();
  await page.getByLabel('Id of run B').fill('not an id');
  await expect(page.getByRole('button', { name: 'Compare' })).toBeDisabled();
  await page.getByLabel('Id of run B').fill(COMPARED.b);
  await page.keyboard.press('Enter');
  await expect(steps(page)).toBeVisible();
  await page.goBack();
  await page.getByRole('region', { name: 'Newest runs' }).getByRole('link').first().click();
  await expect(page).toHaveURL(new RegExp(`a=${COMPARED.a}&b=`));
  await page.goto(`/compare?a=${COMPARED.a}&b=${COMPARED.a}`);
  await expect(page.getByText('The same run stands on both sides')).toBeVisible();
});

test.describe('a run that is not there', () => {
  test.use({ expectedErrors: /status of 404/ });
  test('is named', async ({ page }) => {
    await page.goto(`/compare?a=${COMPARED.a}&b=01997f3c-0000-7000-8000-000000000000`);
    await expect(page.getByRole('alert')).toContainText('Run 01997f3c-0000-7000-8000-000000000000 not found');
  });
});

for (const theme of ['light', 'dark'] as const) {
  for (const search of [`?a=${COMPARED.a}&b=${COMPARED.b}&row=6`, `?a=${COMPARED.a}&b=${COMPARED.b}&part=decisions&change=slower`, `?a=${COMPARED.a}&b=${RUNS.empty}`, '']) {
    test(`the comparison ${search} can be used by everybody in ${theme}`, async ({ page }) => {
      await useTheme(page, theme);
      await page.goto(`/compare${search}`);
      await settled(page);
      await expectAccessible(page);
    });
  }
}
