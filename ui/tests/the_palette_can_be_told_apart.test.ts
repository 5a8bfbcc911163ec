/** The promises of the palette, computed from the style sheet itself. */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const css = readFileSync(new URL('../src/styles.css', import.meta.url), 'utf8');

function tokens(block: string): Record<string, string> {
  const text = css.slice(css.indexOf(block));
  return Object.fromEntries([...text.slice(0, text.indexOf('}')).matchAll(/--([\w-]+):\s*(#[0-9a-f]{6})/g)].map(([, name, value]) => [name ?? '', value ?? '']));
}

type Rgb = [number, number, number];
const rgb = (hex: string): Rgb => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255) as Rgb;
const linear = (channel: number) => (channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4);
const luminance = (color: Rgb) => {
  const [r, g, b] = color.map(linear) as Rgb;
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (a: string, b: string) => {
  const [low, high] = [luminance(rgb(a)), luminance(rgb(b))].sort((x, y) => x - y) as [number, number];
  return (high + 0.05) / (low + 0.05);
};

/** Machado, Oliveira, Fernandes 2009, severity 1: how colours are seen, in linear light. */
const SIGHTS: Record<string, readonly (readonly number[])[]> = {
  normal: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  protan: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
  deutan: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
  tritan: [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
};

function lab(hex: string, sight: readonly (readonly number[])[]): Rgb {
  const light = rgb(hex).map(linear) as Rgb;
  const seen = sight.map((row) => Math.min(1, Math.max(0, row.reduce((sum, weight, at) => sum + weight * (light[at] ?? 0), 0)))) as Rgb;
  const xyz = [
    (0.4124564 * seen[0] + 0.3575761 * seen[1] + 0.1804375 * seen[2]) / 0.95047,
    0.2126729 * seen[0] + 0.7151522 * seen[1] + 0.072175 * seen[2],
    (0.0193339 * seen[0] + 0.119192 * seen[1] + 0.9503041 * seen[2]) / 1.08883,
  ].map((value) => (value > 216 / 24389 ? Math.cbrt(value) : (24389 / 27 * value + 16) / 116)) as Rgb;
  return [116 * xyz[1] - 16, 500 * (xyz[0] - xyz[1]), 200 * (xyz[1] - xyz[2])];
}

/** CIEDE2000. */
function difference([l1, a1, b1]: Rgb, [l2, a2, b2]: Rgb): number {
  const degrees = (radians: number) => (radians * 180) / Math.PI;
  const sin = (angle: number) => Math.sin((angle * Math.PI) / 180);
  const cos = (angle: number) => Math.cos((angle * Math.PI) / 180);
  const mean = (Math.hypot(a1, b1) + Math.hypot(a2, b2)) / 2;
  const g = 0.5 * (1 - Math.sqrt(mean ** 7 / (mean ** 7 + 25 ** 7)));
  const [p1, p2] = [(1 + g) * a1, (1 + g) * a2];
  const [c1, c2] = [Math.hypot(p1, b1), Math.hypot(p2, b2)];
  const hue = (a: number, b: number) => (a === 0 && b === 0 ? 0 : (degrees(Math.atan2(b, a)) + 360) % 360);
  const [h1, h2] = [hue(p1, b1), hue(p2, b2)];
  const [dl, dc] = [l2 - l1, c2 - c1];
  let dh = h2 - h1;
  if (c1 * c2 === 0) dh = 0;
  else if (dh > 180) dh -= 360;
  else if (dh < -180) dh += 360;
  const dH = 2 * Math.sqrt(c1 * c2) * sin(dh / 2);
  const [l, c] = [(l1 + l2) / 2, (c1 + c2) / 2];
  const h = c1 * c2 === 0 ? h1 + h2 : Math.abs(h1 - h2) <= 180 ? (h1 + h2) / 2 : (h1 + h2 + (h1 + h2 < 360 ? 360 : -360)) / 2;
  const t = 1 - 0.17 * cos(h - 30) + 0.24 * cos(2 * h) + 0.32 * cos(3 * h + 6) - 0.2 * cos(4 * h - 63);
  const sl = 1 + (0.015 * (l - 50) ** 2) / Math.sqrt(20 + (l - 50) ** 2);
  const [sc, sh] = [1 + 0.045 * c, 1 + 0.015 * c * t];
  const rt = -2 * Math.sqrt(c ** 7 / (c ** 7 + 25 ** 7)) * sin(60 * Math.exp(-(((h - 275) / 25) ** 2)));
  return Math.sqrt((dl / sl) ** 2 + (dc / sc) ** 2 + (dH / sh) ** 2 + rt * (dc / sc) * (dH / sh));
}

const THEMES = { light: tokens(':root {'), dark: tokens(':root[data-theme="dark"]') };
const BARS = ['plan', 'retrieve', 'tool', 'respond', 'other', 'failed-bar'];

describe.each(Object.entries(THEMES))('the %s palette', (theme, token) => {
  const of = (name: string) => token[name] ?? expect.fail(`no token ${name}`);

  it('has bars that everybody can tell apart', () => {
    for (const [sight, matrix] of Object.entries(SIGHTS)) {
      BARS.forEach((a, at) => {
        for (const b of BARS.slice(at + 1)) {
          const far = difference(lab(of(a), matrix), lab(of(b), matrix));
          expect(far, `${a} and ${b}, ${sight}`).toBeGreaterThan(theme === 'light' ? 16.5 : 18.5);
        }
      });
    }
  });
  it('has bars that stand out from what is behind them', () => {
    for (const bar of BARS) for (const ground of ['bg', 'panel']) expect(contrast(of(bar), of(ground)), `${bar} on ${ground}`).toBeGreaterThan(3);
  });
  it('has text that can be read on every ground', () => {
    for (const ground of ['bg', 'panel', 'selection']) {
      for (const ink of ['ink', 'ink-2']) expect(contrast(of(ink), of(ground)), `${ink} on ${ground}`).toBeGreaterThan(4.5);
    }
    for (const ground of ['bg', 'panel']) {
      for (const ink of ['ink-3', 'accent', 'success', 'failure', 'partial', 'running']) {
        expect(contrast(of(ink), of(ground)), `${ink} on ${ground}`).toBeGreaterThan(4.5);
      }
    }
    for (const tone of ['success', 'failure', 'partial', 'running']) expect(contrast(of(tone), of(`${tone}-soft`)), tone).toBeGreaterThan(4.5);
    expect(contrast(of('on-accent'), of('accent'))).toBeGreaterThan(4.5);
  });
});
