import { manyRuns, RUNS } from '../fixture/runs.mjs';
import { expect, Server, settled, test } from './browser.ts';

/** Each stands where the privacy rules remove or refuse it; none of them may be seen anywhere. */
const SECRETS = {
  email: 'canary.person@private.example',
  key: 'sk-canary7f3e9d1c5b2a8f4e6d0c',
  password: 'password=canary-hunter-9931',
  phone: '+4915123456789',
  prose: 'canary words that a person wrote to the agent about their illness and their debts',
  prompt: 'canary-prompt-4417',
};
const all = Object.values(SECRETS);

const at = '2026-11-22T09:30:00Z';
const STEP = '01997f3c-5b0e-7c41-a3d2-6e1f0b9ad601';
const removed = {
  run_id: RUNS.failing,
  agent_id: 'support-triage',
  agent_version: '2.4.1',
  status: 'failure',
  started_at: at,
  ended_at: '2026-11-22T09:30:09Z',
  session_id: SECRETS.email,
  metadata: { owner: SECRETS.email, note: SECRETS.prose, api: SECRETS.key, user_query: SECRETS.prompt },
  steps: [
    {
      step_id: STEP,
      seq: 0,
      step_type: 'tool',
      name: `lookup ${SECRETS.phone}`,
      latency_ms: 900,
      started_at: at,
      ended_at: at,
      status: 'failed',
      error_code: 'timeout',
      metadata: { email: SECRETS.email, search_query: SECRETS.prompt, detail: { deep: { summary: SECRETS.prose, token: SECRETS.key } } },
    },
  ],
  decisions: [{ step_id: STEP, decision_type: 'tool_selection', selected: SECRETS.key, candidates: [SECRETS.key, SECRETS.email], reason_code: 'fresh_data_required', metadata: { hint: SECRETS.prose } }],
  quality_signals: [{ step_id: STEP, signal_type: 'tool_failure', signal_code: 'timeout', value: true, metadata: { contact: SECRETS.phone } }],
  failure: { step_id: STEP, failure_type: 'tool', failure_code: 'timeout', message: `no answer for ${SECRETS.email} at ${SECRETS.phone}` },
};
/** Existing clients expect these to be refused, naming the rule and never the value. */
const refused = [
  { ...removed, run_id: RUNS.partial, steps: [{ ...removed.steps[0], metadata: { prompt: SECRETS.prompt } }] },
  { ...removed, run_id: RUNS.parallel, decisions: [{ ...removed.decisions[0], metadata: { reasoning: SECRETS.prose } }] },
  { ...removed, run_id: RUNS.recovered, failure: { ...removed.failure, message: SECRETS.password } },
];

const send = (server: Server, run: object) =>
  fetch(`${server.urls.ingest}/v1/runs`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(run) });

const hasNoSecret = (text: string, where: string) => {
  for (const secret of all) expect(text.includes(secret), `${where} holds ${secret}`).toBe(false);
};

const own = test.extend<object, { server: Server }>({
  server: [
    async ({}, use) => {
      const server = await Server.start();
      await server.send(manyRuns(300));
      const answer = await send(server, removed);
      expect(answer.status).toBe(201);
      hasNoSecret(await answer.text(), 'the answer to an ingest');
      await use(server);
      await server.remove();
    },
    { scope: 'worker' },
  ],
});

const PAGES = [
  '/',
  '/runs',
  '/failures',
  '/decisions',
  '/signals',
  '/agents',
  '/agents/support-triage',
  '/versions',
  '/settings',
  ...['waterfall', 'table', 'decisions', 'events'].flatMap((view) => ['details', 'metadata', 'json'].map((tab) => `/runs/${RUNS.failing}?step=0&view=${view}&tab=${tab}`)),
  `/runs?peek=${RUNS.failing}`,
  `/compare?a=${RUNS.failing}`,
];

own('private text is on no page, in no answer, and no request goes anywhere else', async ({ page, server }) => {
  for (const run of refused) {
    const answer = await send(server, run);
    expect(answer.status).toBe(422);
    hasNoSecret(await answer.text(), 'a refusal');
  }

  const bodies: Promise<void>[] = [];
  const asked = new Set<string>();
  page.on('response', (response) => {
    const url = new URL(response.url());
    if (!url.pathname.startsWith('/v1') && url.pathname !== '/health') return;
    asked.add(url.pathname.replace(RUNS.failing, ':id'));
    bodies.push(
      response.text().then(
        (text) => hasNoSecret(text, response.url()),
        // A question that the page gave up has no body.
        () => undefined,
      ),
    );
  });
  for (const path of PAGES) {
    await page.goto(path);
    await settled(page);
    hasNoSecret(await page.content(), path);
    hasNoSecret(await page.locator('body').innerText(), path);
  }
  await Promise.all(bodies);
  // It looked at something: the run is shown, and its parts were asked for.
  await page.goto(`/runs/${RUNS.failing}?step=0`);
  await expect(page.getByText('tool/timeout').first()).toBeVisible();
  for (const path of ['/v1/runs', '/v1/runs/:id', '/v1/runs/:id/events', '/v1/agents']) expect([...asked]).toContain(path);
  // That every request stays with the origin, and no policy is broken, every journey demands of its page.
});

own('no other origin can be asked: the policy of the page forbids it', async ({ page }) => {
  const response = await page.goto('/runs');
  const policy = response?.headers()['content-security-policy'] ?? '';
  const rules = new Map(policy.split(';').map((rule) => [rule.trim().split(' ')[0], rule.trim().split(' ').slice(1).join(' ')]));
  expect(rules.get('default-src')).toBe("'none'");
  for (const rule of ['script-src', 'style-src', 'font-src', 'img-src', 'connect-src']) expect(rules.get(rule)).toBe("'self'");
  for (const rule of ['form-action', 'base-uri', 'frame-ancestors']) expect(rules.get(rule)).toBe("'none'");
});

own('the raw answers hold nothing private either', async ({ server }) => {
  const paths = [
    '/v1/runs?page_size=100',
    '/v1/runs?view=summary&page_size=100',
    `/v1/runs/${RUNS.failing}`,
    ...['steps', 'failures', 'decisions', 'signals', 'events', 'latency'].map((part) => `/v1/runs/${RUNS.failing}/${part}`),
    '/v1/stats',
    '/v1/facets?limit=1000',
    '/v1/facets?field=meta.owner&field=meta.note&field=meta.api&field=meta.user_query&limit=1000',
    '/v1/failures',
    '/v1/decisions',
    '/v1/signals',
    '/v1/agents',
    '/metrics',
  ];
  for (const path of paths) {
    const answer = await fetch(server.urls.ui + path);
    expect(answer.status, path).toBe(200);
    hasNoSecret(await answer.text(), path);
  }
});
