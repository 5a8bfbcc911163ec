import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { takeEvents, tailEventOf } from './tail.ts';

const RUN = '01997f3c-5b0e-7c41-a3d2-6e1f0b9ad412';
const stream = `retry: 1000\nid: 7\n\nevent: run\nid: 9\ndata: {"run_id":"${RUN}","agent_id":"a"}\n\n: alive\nid: 9\n\nevent: missed\nid: 40\ndata: {"from":9,"to":40,"reason":"behind"}\n\n`;

describe('the tail', () => {
  it('is read the same however it is cut', () => {
    const whole = takeEvents(stream).events;
    expect(whole.map(({ type, id }) => [type, id])).toEqual([
      ['message', '7'],
      ['run', '9'],
      ['message', '9'],
      ['missed', '40'],
    ]);
    fc.assert(
      fc.property(fc.nat(stream.length), fc.nat(stream.length), (a, b) => {
        const [one, two] = [Math.min(a, b), Math.max(a, b)];
        let text = '';
        const events = [stream.slice(0, one), stream.slice(one, two), stream.slice(two)].flatMap((chunk) => {
          const taken = takeEvents(text + chunk);
          text = taken.rest;
          return taken.events;
        });
        expect(events).toEqual(whole);
        expect(text).toBe('');
      }),
    );
  });
  it('names the runs that changed, or says that it may be any', () => {
    const { events } = takeEvents(stream);
    expect(tailEventOf(events.slice(0, 3), undefined)).toEqual({ position: '9', runs: [RUN] });
    expect(tailEventOf(events, undefined)).toEqual({ position: '40', runs: 'any' });
  });
  it('says nothing when only the connection lives', () => {
    expect(tailEventOf(takeEvents(': alive\nid: 9\n\n').events, '8')).toBeUndefined();
  });
});
