import { expect, expectAccessible, NOW, settled, test, useTheme } from './browser.ts';

const DAY = `start_time=${new Date(NOW - 86_400_000).toISOString()}&end_time=${new Date(NOW - 1).toISOString().replace('Z', '999Z')}`;
const RANGE = 'from=2026-11-21T10:00:00Z&to=2026-11-22T10:00:00Z';
const ask = async <T>(server: { urls: { query: string } }, path: string) => (await (await fetch(`${server.urls.query}${path}`)).json()) as T;
const shown = (number: number) => number.toLocaleString('en-US');

interface Failures {
  clusters: { cluster: string; runs: number; versions: { agent_version: string; runs: number }[]; examples: string[]; cause: { step_seq: number | null } | null }[];
}

test('failures: gone through by keyboard, the choice stands in the address', async ({ page, server }) => {
  const { clusters } = await ask<Failures>(server, `/v1/failures?${DAY}&limit=50`);
  const [first, second] = clusters;
  if (first === undefined || second === undefined) throw new Error('the fixture has no failures');
  await page.goto(`/failures?${RANGE}`);
  await settled(page);
  await page.keyboard.press('j');
  await expect(page).toHaveURL(new RegExp(`show=${first.cluster}`));
  await page.keyboard.press('j');
  await expect(page).toHaveURL(new RegExp(`show=${second.cluster}`));
  const panel = page.getByRole('complementary');
  await expect(panel.getByRole('link', { name: `All ${shown(second.runs)} runs` })).toBeVisible();
  await page.reload();
  await expect(panel.getByRole('link', { name: `All ${shown(second.runs)} runs` })).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(panel.getByRole('link', { name: /^All/ })).toBeHidden();
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(new RegExp(`/runs/${first.examples[0]}.*step=${first.cause?.step_seq}`));
});

test('failures: a version of a cluster leads to exactly its runs', async ({ page, server }) => {
  const { clusters } = await ask<Failures>(server, `/v1/failures?${DAY}&limit=1`);
  const [cluster] = clusters;
  const version = cluster?.versions[0];
  if (cluster === undefined || version === undefined) throw new Error('the fixture has no failures');
  await page.goto(`/failures?${RANGE}&show=${cluster.cluster}`);
  await page.getByRole('region', { name: 'Versions' }).getByRole('link', { name: version.agent_version }).click();
  await expect(page).toHaveURL(new RegExp(`/runs\\?.*version=${version.agent_version}.*cluster=${cluster.cluster}|/runs\\?.*cluster=${cluster.cluster}.*version=${version.agent_version}`));
  const list = await fetch(`${server.urls.query}/v1/runs?${DAY}&failure_cluster=${cluster.cluster}&agent_version=${version.agent_version}&page_size=1`);
  expect(list.headers.get('x-total-count')).toBe(String(version.runs));
  await expect(page.getByText(new RegExp(`${shown(version.runs)} runs?`)).first()).toBeVisible();
});

test('failures: each example leads to its failing step', async ({ page }) => {
  await page.goto(`/failures?${RANGE}`);
  await settled(page);
  await page.keyboard.press('j');
  const example = page.getByRole('complementary').getByRole('link', { name: /^Run .*, failing step \d+$/ }).nth(1);
  const seq = /failing step (\d+)/.exec((await example.getAttribute('aria-label')) ?? '')?.[1];
  await example.click();
  await expect(page).toHaveURL(new RegExp(`step=${seq}`));
  await expect(page.getByRole('complementary', { name: /^Step / })).toContainText('tool / timeout');
});

test('decisions: by type, what was selected and why', async ({ page, server }) => {
  const found = await ask<{ types: { decision_type: string; count: number; reasons: { reason_code: string; count: number }[] }[] }>(server, `/v1/decisions?${DAY}`);
  const retries = found.types.find(({ decision_type }) => decision_type === 'retry_strategy');
  await page.goto(`/decisions?${RANGE}`);
  const types = page.getByRole('navigation', { name: 'Decision types' });
  await types.getByRole('link', { name: /retry_strategy/ }).click();
  await expect(page).toHaveURL(/type=retry_strategy/);
  const table = page.getByRole('table', { name: /retry_strategy/ });
  await expect(table.getByRole('row', { name: /retry_with_backoff/ })).toBeVisible();
  const reason = retries?.reasons[0];
  const link = page.getByRole('link', { name: `Runs with the reason ${reason?.reason_code}` });
  await expect(link).toContainText(shown(reason?.count ?? -1));
  await link.click();
  await expect(page).toHaveURL(new RegExp(`/runs\\?.*decision=retry_strategy&reason=${reason?.reason_code}`));
  await page.goBack();
  await expect(types.getByRole('link', { name: /retry_strategy/ })).toHaveAttribute('aria-current', 'page');
});

test('signals: attention is a word, rates are those of the server, and a signal leads to its runs', async ({ page, server }) => {
  const found = await ask<{ total_runs: number; types: { signal_type: string; codes: { signal_code: string; runs_true: number }[] }[] }>(server, `/v1/signals?${DAY}`);
  const timeouts = found.types.find(({ signal_type }) => signal_type === 'tool_failure')?.codes.find(({ signal_code }) => signal_code === 'timeout');
  await page.goto(`/signals?${RANGE}`);
  const row = page.getByRole('row', { name: 'tool_failure timeout true' });
  await expect(row).toContainText('attention');
  await expect(row).toContainText(shown(timeouts?.runs_true ?? -1));
  await page.getByRole('radio', { name: /Plain/ }).click();
  await expect(page).toHaveURL(/tone=plain/);
  await expect(row).toBeHidden();
  await page.getByRole('radio', { name: /Attention/ }).click();
  await row.getByRole('button').click();
  await expect(page).toHaveURL(/show=tool_failure\/timeout\/true/);
  const panel = page.getByRole('complementary', { name: 'tool_failure timeout true' });
  await panel.getByRole('link', { name: `All ${shown(timeouts?.runs_true ?? -1)} runs` }).click();
  await expect(page).toHaveURL(/\/runs\?.*signal_type=tool_failure&signal=timeout&signal_value=true/);
});

test('signals: the rates over time add up to what the range says', async ({ server }) => {
  const found = await ask<{
    total_runs: number;
    types: { codes: { signal_code: string; count_true: number; count_false: number }[] }[];
    timeline: { total_runs: number; buckets: { runs: number; codes: { signal_code: string; count_true: number; count_false: number }[] }[] };
  }>(server, `/v1/signals?${DAY}&buckets=24`);
  const sum = (lists: { signal_code: string; count_true: number; count_false: number }[][], code: string) =>
    lists.flat().filter(({ signal_code }) => signal_code === code).reduce((all, one) => all + one.count_true - 1000 * one.count_false, 0);
  expect(found.timeline.total_runs).toBe(found.total_runs);
  const codes = found.types.flatMap((type) => type.codes);
  expect(codes.length).toBeGreaterThan(3);
  for (const { signal_code } of codes) {
    expect(sum(found.timeline.buckets.map((bucket) => bucket.codes), signal_code), signal_code).toBe(sum(found.types.map((type) => type.codes), signal_code));
  }
});

test('agents: found, ordered and opened by keyboard', async ({ page }) => {
  await page.goto(`/agents?${RANGE}`);
  await settled(page);
  await page.getByRole('button', { name: 'Failure rate' }).click();
  await expect(page).toHaveURL(/sort=failure_rate/);
  await expect(page.getByRole('row').nth(1)).toContainText('support-triage');
  await page.keyboard.press('/');
  await page.keyboard.type('review');
  await expect(page).toHaveURL(/find=review/);
  await expect(page.getByRole('row', { name: 'code-reviewer' })).toBeVisible();
  await expect(page.getByRole('row', { name: 'support-triage' })).toBeHidden();
  await page.keyboard.press('Escape');
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/\/agents\/code-reviewer/);
  await expect(page.getByRole('heading', { level: 1, name: 'code-reviewer' })).toBeVisible();
});

test('an agent: its versions side by side, and where their time goes', async ({ page, server }) => {
  const latency = await ask<{ by_step_type: { step_type: string; steps: number }[] }>(server, `/v1/agents/support-triage/versions/2.4.1/latency?${DAY}`);
  await page.goto(`/agents/support-triage?${RANGE}`);
  const sides = page.getByRole('table', { name: 'Numbers of the versions side by side' });
  await expect(sides.getByRole('columnheader', { name: '2.4.0' })).toBeVisible();
  await expect(sides.getByRole('columnheader', { name: '2.4.1' })).toBeVisible();
  await expect(sides.getByRole('row', { name: /^Failure rate/ })).toContainText('worse');
  const types = page.getByRole('table', { name: 'Latency by step type' });
  await expect(types.getByRole('row')).toHaveCount(latency.by_step_type.length + 1);
  await page.getByRole('link', { name: 'How sure is it? →' }).click();
  await expect(page).toHaveURL(/\/versions\?.*agent=support-triage&base=2.4.0&candidate=2.4.1/);
});

test('an agent: its numbers are of all its versions, not of those that the table has', async ({ page, server }) => {
  const { agents } = await ask<{ agents: { runs: number; runs_with_retries: number }[] }>(server, `/v1/agents?agent_id=support-triage&${DAY}`);
  const [agent] = agents;
  if (agent === undefined) throw new Error('the fixture has this agent');
  const share = (100 * agent.runs_with_retries) / agent.runs;
  // As if it had more versions than an answer holds.
  await page.route('**/v1/agents/support-triage/versions?*', async (route) => {
    const answer = await route.fetch();
    const body = (await answer.json()) as { versions: unknown[] };
    await route.fulfill({ response: answer, json: { ...body, versions: body.versions.slice(0, 1) } });
  });
  await page.goto(`/agents/support-triage?${RANGE}`);
  await settled(page);
  const numbers = page.getByLabel('Numbers of the agent');
  await expect(numbers).toContainText(`Runs with retries${share.toFixed(1)}`);
  await expect(numbers.getByRole('link', { name: /%/ }).last()).toHaveAttribute('href', /agent=support-triage.*retries=true/);
});

test('an agent whose name needs escaping has its page', async ({ page }) => {
  await page.goto(`/agents?${RANGE}`);
  await page.getByRole('link', { name: 'übersetzer-агент' }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'übersetzer-агент' })).toBeVisible();
  await expect(page.getByRole('region', { name: /^Versions of/ })).toContainText('β-1');
});

for (const theme of ['light', 'dark'] as const) {
  test(`every state of these pages can be used by everybody, in ${theme}`, async ({ page, server }) => {
    test.setTimeout(180_000);
    const { clusters } = await ask<Failures>(server, `/v1/failures?${DAY}&limit=1`);
    await useTheme(page, theme);
    const states = [
      '/',
      '/failures',
      `/failures?show=${clusters[0]?.cluster}`,
      '/failures?show=0000000000000000',
      '/decisions?type=retry_strategy',
      '/signals?show=tool_failure/timeout/true&tone=attention',
      '/agents?find=nobody',
      '/agents/support-triage',
      '/agents/support-triage?versions=2.4.0',
    ];
    for (const state of states) {
      await page.goto(`${state}${state.includes('?') ? '&' : '?'}${RANGE}`);
      await settled(page);
      await expectAccessible(page);
    }
  });
}

test('nothing reaches over the edge of a small screen', async ({ page }) => {
  await page.setViewportSize({ width: 390, height: 844 });
  for (const path of ['/', '/failures', '/decisions', '/signals', '/agents', '/agents/support-triage']) {
    await page.goto(`${path}?${RANGE}`);
    await settled(page);
    expect(await page.evaluate(() => document.documentElement.scrollWidth), path).toBeLessThanOrEqual(390);
  }
});

const refused = test.extend({ expectedErrors: /status of 5\d\d|the server said no/ });
refused('an answer that does not come says so, and is asked for again', async ({ page }) => {
  const pages = [
    ['/', '**/v1/timeseries?*'],
    ['/failures', '**/v1/failures?*'],
    ['/decisions', '**/v1/decisions?*'],
    ['/signals', '**/v1/signals?*'],
    ['/agents', '**/v1/agents?*'],
    ['/agents/support-triage', '**/v1/agents/support-triage/versions?*'],
  ] as const;
  for (const [path, question] of pages) {
    await page.route(question, (route) => route.fulfill({ status: 500, json: { error: 'the index is being moved', status_code: 500, path } }));
    await page.goto(`${path}?${RANGE}`);
    await expect(page.getByRole('alert').first()).toContainText('the index is being moved');
    await expectAccessible(page);
    await page.unroute(question);
    await page.getByRole('button', { name: 'Try again' }).first().click();
    await expect(page.getByRole('alert')).toHaveCount(0);
  }
});
